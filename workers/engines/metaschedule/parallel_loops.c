/* Runs the parallel loops of a library's kernels; linked into each library.
 *
 * TVM's runtime cuts a parallel loop into as many equal parts as it has threads, binds each thread to a core,
 * and goes on when every thread has said that it is done. Where another process has one of the cores for a few
 * milliseconds, each kernel waits so long for its part. Here a loop is cut into more parts, whoever is free
 * takes the next, and a thread that has not come by the time that all parts are taken is not waited for.
 *
 * A kernel calls what the pointer _fTVMBackendParallelLaunch points at; parallel_loops.py gave it that name.
 * The runtime looks for the name of before, __TVMBackendParallelLaunch, and so sets the pointer below.
 *
 * Both C and C++, for whichever the linker takes it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Threads that the library was built for, which is what it was timed with. */
#ifndef THREADS
#error "compile with -DTHREADS=..."
#endif
/* Parts of a loop for each thread. MetaSchedule has at most 16 turns of a parallel loop for a core, so these are
 * single turns. */
#define PARTS 16
#define MOST_THREADS 256
/* A thread without work looks for some so many times before it sleeps, which is a tenth to half a millisecond:
 * a model's next kernel comes sooner. */
#define LOOKS 10000
/* Whoever waits for a thread that is in the middle of a part sleeps after so many looks: its core is then free
 * for that thread, where that one has lost its own. */
#define LOOKS_AT_THE_END 2000

#ifdef __cplusplus
extern "C" {
#endif

/* As tvm/runtime/c_backend_api.h has them. */
typedef struct {
  void *sync_handle;
  int32_t num_task;
} Environment;
typedef int (*Part)(int number, Environment *environment, void *data);
typedef int (*Launch)(Part part, void *data, int tasks);
typedef void (*Raise)(const char *kind, const char *message);

/* What pthread_atfork calls, and the Linux Standard Base has. Before glibc 2.34 that was in a library that whoever
 * links on a board would have to name. */
extern void *__dso_handle;
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);

static int launch(Part part, void *data, int tasks);

/* What kernels call. */
__attribute__((visibility("hidden"))) Launch _fTVMBackendParallelLaunch = launch;
/* What the runtime sets when it loads the library. */
Launch __TVMBackendParallelLaunch = 0;
__attribute__((weak)) Raise __TVMFFIErrorSetRaisedFromCStr = 0;

/* In a cache line of its own. */
typedef struct {
  int value;
} __attribute__((aligned(64))) Line;

static struct {
  /* Threads that share a loop, the one that launches it among them; 0 before the first. */
  int threads;
  /* Those that there are to be. */
  int wanted;
  pthread_t started[MOST_THREADS];
  int watched_for_forks;
  int stopped;

  Part part;
  void *data;
  /* The thread's number, and 1, of one whose part failed. */
  int failed;
  /* Of each thread's parts, those that are taken. */
  Line taken[MOST_THREADS];

  /* Somebody's loop is being run. */
  Line busy;
  /* It has parts left, as far as is known. */
  Line open;
  /* Threads that may be at a part of it. */
  Line inside;
  /* Its thread sleeps until nobody is inside. */
  Line awaited;
  /* Loops that there were; what threads sleep on. */
  Line loops;
  Line asleep;
  /* Where each thread was last seen; -1 of one that has slept since, or has not begun. */
  Line cores[MOST_THREADS];
} pool;

static int get(Line *line) { return __atomic_load_n(&line->value, __ATOMIC_SEQ_CST); }
static void set(Line *line, int value) { __atomic_store_n(&line->value, value, __ATOMIC_SEQ_CST); }
static int add(Line *line, int value) { return __atomic_add_fetch(&line->value, value, __ATOMIC_SEQ_CST); }

static void sleep_while(Line *line, int value) {
  syscall(SYS_futex, &line->value, FUTEX_WAIT_PRIVATE, value, (void *)0, (void *)0, 0);
}

static void wake(Line *line) {
  syscall(SYS_futex, &line->value, FUTEX_WAKE_PRIVATE, INT_MAX, (void *)0, (void *)0, 0);
}

static void pause_a_little(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

/* Take parts until none is left: a thread's own first, which it had of the loop before as well, and are warm in
 * its cache; then those of the others. */
static void take_parts(int thread) {
  int threads = pool.threads, others, turn;
  Environment environment = {0, threads * PARTS};
  for (others = 0; others < threads; ++others) {
    int of = (thread + others) % threads;
    int *taken = &pool.taken[of].value;
    while (__atomic_load_n(taken, __ATOMIC_RELAXED) < PARTS) {
      turn = __atomic_fetch_add(taken, 1, __ATOMIC_RELAXED);
      if (turn >= PARTS) break;
      if (pool.part(of * PARTS + turn, &environment, pool.data))
        __atomic_store_n(&pool.failed, thread + 1, __ATOMIC_RELAXED);
    }
  }
}

/* Leave a core that another of these threads is at, and be free again. The kernel puts two of them on one where something
 * else is on the other for a moment as a thread begins or wakes up. As neither sleeps between two loops, it leaves them
 * there for 50 to 80 ms, each with half of a core, and then a core has nothing to do. */
static void go_apart(int thread) {
  cpu_set_t all, free, one;
  int core = sched_getcpu(), other, shared = 0;
  set(&pool.cores[thread], core);
  if (core < 0 || sched_getaffinity(0, sizeof all, &all)) return;
  free = all;
  for (other = 0; other < pool.threads; ++other) {
    if (other == thread) continue;
    int taken = get(&pool.cores[other]);
    if (taken == core) shared = 1;
    if (taken >= 0) CPU_CLR(taken, &free);
  }
  if (shared && CPU_COUNT(&free)) {
    /* The next one: of the same kind as this, where there are several. */
    do core = (core + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(core, &free));
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (sched_setaffinity(0, sizeof one, &one)) return;
    set(&pool.cores[thread], core);
    sched_setaffinity(0, sizeof all, &all);
  }
}

static void *help(void *number) {
  int thread = (int)(intptr_t)number, seen = 0, looks, now;
  for (;;) {
    for (looks = 0; (now = get(&pool.loops)) == seen; ++looks) {
      if (looks < LOOKS) {
        pause_a_little();
      } else {
        set(&pool.cores[thread], -1);
        add(&pool.asleep, 1);
        sleep_while(&pool.loops, seen);
        add(&pool.asleep, -1);
      }
    }
    seen = now;
    if (__atomic_load_n(&pool.stopped, __ATOMIC_ACQUIRE)) return 0;
    if (get(&pool.cores[thread]) < 0 || sched_getcpu() == get(&pool.cores[0])) go_apart(thread);
    /* Said first, looked then: whoever closes the loop closes it first and looks then, so one sees the other. */
    add(&pool.inside, 1);
    if (get(&pool.open)) take_parts(thread);
    if (add(&pool.inside, -1) == 0 && get(&pool.awaited)) wake(&pool.inside);
  }
}

/* A forked process has none of the threads. */
static void forget(void) {
  pool.threads = 0;
  set(&pool.busy, 0);
  set(&pool.open, 0);
  set(&pool.inside, 0);
  set(&pool.awaited, 0);
  set(&pool.asleep, 0);
}

static int count(int number, Environment *environment, void *threads) {
  if (number == 0) *(int *)threads = environment->num_task;
  return 0;
}

/* Start the threads: where the user says how many, as many as the runtime takes that for; else those that the library
 * was built for, as far as this process may use so many cores. The runtime by itself takes half of the cores, as if each
 * had two threads. Returns what the runtime said was wrong, or 0. */
static int begin(void) {
  static const int own[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGSYS};
  sigset_t all, before;
  cpu_set_t cores;
  int failed, number;
  if (pool.wanted) {
    /* A forked process has as many as the one before. */
  } else if (getenv("TVM_NUM_THREADS") || getenv("OMP_NUM_THREADS")) {
    if ((failed = __TVMBackendParallelLaunch(count, &pool.wanted, 0)) != 0) return failed;
  } else {
    pool.wanted = THREADS;
    if (!sched_getaffinity(0, sizeof cores, &cores) && CPU_COUNT(&cores) < THREADS) pool.wanted = CPU_COUNT(&cores);
  }
  if (!pool.watched_for_forks) pool.watched_for_forks = !__register_atfork(0, 0, forget, __dso_handle);
  /* Signals are for the program's own threads. */
  sigfillset(&all);
  /* Of what a thread does itself its own handlers hear: blocked, these would end the process without a word. */
  for (number = 0; number < (int)(sizeof own / sizeof *own); ++number) sigdelset(&all, own[number]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  set(&pool.loops, 0);
  for (number = 0; number < MOST_THREADS; ++number) set(&pool.cores[number], -1);
  for (number = 1; number < pool.wanted && number < MOST_THREADS; ++number)
    if (pthread_create(&pool.started[number], 0, help, (void *)(intptr_t)number)) break;
  pthread_sigmask(SIG_SETMASK, &before, 0);
  pool.threads = number;
  return 0;
}

static int launch(Part part, void *data, int tasks) {
  int failed, looks, thread;
  /* So many and no other, or within another's loop, or beside one: the runtime's own threads do it. */
  if (tasks != 0 || __atomic_exchange_n(&pool.busy.value, 1, __ATOMIC_SEQ_CST))
    return __TVMBackendParallelLaunch(part, data, tasks);
  if (pool.threads == 0 && (failed = begin()) != 0) {
    set(&pool.busy, 0);
    return failed;
  }
  pool.part = part;
  pool.data = data;
  pool.failed = 0;
  for (thread = 0; thread < pool.threads; ++thread) pool.taken[thread].value = 0;
  if (pool.threads > 1) {
    /* Each of the others reads it in every loop, so it is written where it changes alone. */
    if (sched_getcpu() != pool.cores[0].value) set(&pool.cores[0], sched_getcpu());
    set(&pool.open, 1);
    add(&pool.loops, 1);
    if (get(&pool.asleep)) wake(&pool.loops);
    take_parts(0);
    set(&pool.open, 0);
    for (looks = 0; (thread = get(&pool.inside)) != 0; ++looks) {
      if (looks < LOOKS_AT_THE_END) {
        pause_a_little();
      } else {
        set(&pool.awaited, 1);
        sleep_while(&pool.inside, thread);
        set(&pool.awaited, 0);
      }
    }
    failed = pool.failed;
  } else {
    Environment alone = {0, 1};
    failed = part(0, &alone, data) != 0;
  }
  set(&pool.busy, 0);
  /* What went wrong is told to the thread in which it did. */
  if (failed > 1 && __TVMFFIErrorSetRaisedFromCStr)
    __TVMFFIErrorSetRaisedFromCStr("RuntimeError", "a parallel loop of a kernel failed in another thread");
  return failed ? -1 : 0;
}

/* Before the library is unloaded: the threads are in its code. */
__attribute__((destructor)) static void stop(void) {
  int number;
  if (pool.threads < 2) return;
  __atomic_store_n(&pool.stopped, 1, __ATOMIC_RELEASE);
  add(&pool.loops, 1);
  wake(&pool.loops);
  for (number = 1; number < pool.threads; ++number) pthread_join(pool.started[number], 0);
}

#ifdef __cplusplus
}
#endif
