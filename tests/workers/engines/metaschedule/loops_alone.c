/* parallel_loops.c without TVM: what is said of its threads, at length. Prints nothing, and returns 0.
 *
 *     loops_alone THREADS TIMES [without-a-fork]
 */
#include "parallel_loops.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define CHECK(what) \
  if (!(what)) { fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what); exit(1); }

static int by_the_runtime, wanted;
static int ran[MOST_THREADS * PARTS];

/* Stands in for the runtime: one after the other. */
static int in_turn(Part part, void *data, int tasks) {
  Environment environment = {0, tasks ? tasks : wanted};
  int number;
  ++by_the_runtime;
  for (number = 0; number < environment.num_task; ++number)
    if (part(number, &environment, data)) return -1;
  return 0;
}

static int run(int number, Environment *environment, void *data) {
  (void)environment;
  __atomic_fetch_add(&ran[number], 1, __ATOMIC_RELAXED);
  return number == *(int *)data ? -1 : 0;
}

static const char *raised;
static void raise_it(const char *kind, const char *message) { (void)kind, raised = message; }

/* Every part once, so many times. */
static void loops(int times) {
  int none = -1, time, number, parts = pool.threads > 1 ? pool.threads * PARTS : 1;
  for (time = 0; time < times; ++time) {
    memset(ran, 0, sizeof ran);
    CHECK(_fTVMBackendParallelLaunch(run, &none, 0) == 0);
    parts = pool.threads > 1 ? pool.threads * PARTS : 1;
    for (number = 0; number < MOST_THREADS * PARTS; ++number) CHECK(ran[number] == (number < parts));
    /* Sometimes they sleep by the next. */
    if (time % 50 == 0) usleep(2000);
  }
}

static int nested(int number, Environment *environment, void *data) {
  int none = -1;
  (void)environment, (void)data;
  return number == 0 ? _fTVMBackendParallelLaunch(run, &none, 0) : 0;
}

/* The second of two threads, on the core that the first was last seen at. */
static void on_the_same_core(void) {
  cpu_set_t before, after, one;
  int core, there;
  CHECK(!sched_getaffinity(0, sizeof before, &before));
  for (core = sched_getcpu(), there = 0; there < 2; ++there) {
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    /* With this core alone there is none to go to, with the others there is. */
    CHECK(!sched_setaffinity(0, sizeof one, there ? &before : &one));
    pool.threads = 2;
    set(&pool.cores[0], core);
    set(&pool.cores[1], -1);
    go_apart(1);
    CHECK((pool.cores[1].value == core) == (!there || CPU_COUNT(&before) == 1));
    CHECK(CPU_ISSET(pool.cores[1].value, &before));
    CHECK(!sched_getaffinity(0, sizeof after, &after) && CPU_EQUAL(&after, there ? &before : &one));
  }
  pool.threads = 0;
}

int main(int count, char **words) {
  int times = atoi(words[2]), failing = 5, status, none = -1;
  wanted = atoi(words[1]);
  /* Where it is set, the runtime is asked how many that is. */
  setenv("TVM_NUM_THREADS", words[1], 1);
  __TVMBackendParallelLaunch = in_turn;
  __TVMFFIErrorSetRaisedFromCStr = raise_it;
  on_the_same_core();
  loops(times);
  CHECK(pool.threads == wanted);
  CHECK(by_the_runtime == 1);

  /* What fails is told, and what comes after it doesn't. */
  if (wanted > 1) {
    CHECK(_fTVMBackendParallelLaunch(run, &failing, 0) == -1);
    CHECK((raised != 0) == (pool.failed > 1));
  }
  loops(2);

  /* So many tasks and no others, and loops within loops, are the runtime's. */
  memset(ran, 0, sizeof ran);
  CHECK(_fTVMBackendParallelLaunch(run, &none, 3) == 0 && by_the_runtime == 2 && ran[2] == 1 && ran[3] == 0);
  CHECK(_fTVMBackendParallelLaunch(nested, 0, 0) == 0 && by_the_runtime == 3);
  loops(2);

  /* A forked process starts its own, and asks nobody how many. ThreadSanitizer can't follow it. */
  if (count == 3 && fork() == 0) {
    loops(2);
    CHECK(pool.threads == wanted && by_the_runtime == 3);
    exit(0);
  }
  if (count == 3) CHECK(wait(&status) > 0 && status == 0);

  /* Threads that never come are not waited for. */
  stop();
  pool.stopped = 0;
  loops(times);
  pool.threads = 0;
  return 0;
}
