/* What stands in for a CPU with AMX: whoever loads this computes its instructions in software.
 *
 * A CPU without them raises "illegal instruction". The handler reads the instruction that was meant, does what it
 * does, and goes on behind it. Encodings and operations are those of the Intel 64 and IA-32 Architectures Software
 * Developer's Manual, volume 2. Anything else that is illegal ends the process, as it would have. So does what a CPU
 * refuses: a tile that isn't configured, sizes that don't fit one another, a process that hasn't asked Linux for tiles.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { TILES = 8, ROWS = 16, BYTES = 64, CONFIG = 64, PALETTE = 1 };

static __thread struct {
  int configured;
  uint8_t config[CONFIG];
  uint8_t rows[TILES];
  uint16_t bytes[TILES];
  uint8_t data[TILES][ROWS][BYTES];
} tiles;

static unsigned long multiplied;
static int asked;

/* So many multiplications of tiles were computed here, by all threads. */
unsigned long tiles_multiplied(void) { return __atomic_load_n(&multiplied, __ATOMIC_RELAXED); }

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

typedef struct {
  int map, wide, vvvv, length, prefix, opcode, mode, reg, rm, moves;
  uint64_t base, step;
} Instruction;

static int read_instruction(const uint8_t *at, const greg_t *registers, Instruction *found) {
  const uint8_t *code = at;
  if (*code++ != 0xC4) return 0;
  int extended = *code++, rest = *code++;
  found->map = extended & 31;
  found->wide = rest >> 7;
  found->vvvv = ~(rest >> 3) & 15;
  found->length = rest >> 2 & 1;
  found->prefix = rest & 3;
  found->opcode = *code++;
  int modrm = *code++;
  found->mode = modrm >> 6;
  found->reg = (modrm >> 3 & 7) | (~extended >> 4 & 8);
  found->rm = modrm & 7;
  found->base = found->step = 0;
  if (found->mode != 3) {
    int base = found->rm, index = 4, scale = 0, none = 0;
    if (found->rm == 4) {
      int sib = *code++;
      scale = sib >> 6;
      index = (sib >> 3 & 7) | (~extended >> 3 & 8);
      base = sib & 7;
      none = base == 5 && found->mode == 0;
    } else if (found->rm == 5 && found->mode == 0) {
      none = 2; /* beside the instruction */
    }
    if (!none) found->base = (uint64_t)registers[order[base | (~extended >> 2 & 8)]];
    if (index != 4) found->step = (uint64_t)registers[order[index]] << scale;
    if (found->mode == 1) {
      found->base += (int64_t)(int8_t)*code++;
    } else if (found->mode == 2 || none) {
      int32_t more;
      memcpy(&more, code, sizeof more);
      code += sizeof more;
      found->base += (int64_t)more + (none == 2 ? (int64_t)(uintptr_t)code : 0);
    }
  }
  found->moves = (int)(code - at);
  return found->map == 2 && !found->wide && !found->length;
}

static int configure(const uint8_t *config) {
  memset(&tiles, 0, sizeof tiles);
  if (!__atomic_load_n(&asked, __ATOMIC_ACQUIRE)) return 0;
  if (config[0] == 0) return 1;
  if (config[0] != PALETTE) return 0;
  memcpy(tiles.config, config, CONFIG);
  for (int one = 0; one < TILES; ++one) {
    memcpy(&tiles.bytes[one], config + 16 + 2 * one, sizeof tiles.bytes[one]);
    tiles.rows[one] = config[48 + one];
    if (tiles.rows[one] > ROWS || tiles.bytes[one] > BYTES || !tiles.rows[one] != !tiles.bytes[one]) return 0;
  }
  return tiles.configured = 1;
}

static float of_bfloat(const uint8_t *at) {
  uint8_t bytes[4] = {0, 0, at[0], at[1]};
  float number;
  memcpy(&number, bytes, sizeof number);
  return number;
}

/* Add the products of a row's groups of 4 bytes with those of a column: kind 0 to 3 is the instruction's prefix. */
static int multiply(int to, int left, int right, int floats, int kind) {
  int rows = tiles.rows[to], columns = tiles.bytes[to] / 4, groups = tiles.bytes[left] / 4;
  if (!tiles.configured || !rows || to == left || to == right || left == right) return 0;
  if (tiles.rows[left] != rows || tiles.bytes[right] != tiles.bytes[to] || tiles.rows[right] != groups) return 0;
  if ((tiles.bytes[to] | tiles.bytes[left]) & 3) return 0;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      uint8_t *place = &tiles.data[to][row][4 * column];
      int32_t whole;
      float sum;
      memcpy(&whole, place, 4);
      memcpy(&sum, place, 4);
      for (int group = 0; group < groups; ++group) {
        const uint8_t *a = &tiles.data[left][row][4 * group], *b = &tiles.data[right][group][4 * column];
        if (floats) {
          sum += of_bfloat(a) * of_bfloat(b) + of_bfloat(a + 2) * of_bfloat(b + 2);
          continue;
        }
        for (int one = 0; one < 4; ++one) {
          int x = kind == 2 || kind == 3 ? (int8_t)a[one] : a[one];
          int y = kind == 1 || kind == 3 ? (int8_t)b[one] : b[one];
          whole = (int32_t)((uint32_t)whole + (uint32_t)(x * y));
        }
      }
      if (floats)
        memcpy(place, &sum, 4);
      else
        memcpy(place, &whole, 4);
    }
  __atomic_add_fetch(&multiplied, 1, __ATOMIC_RELAXED);
  return 1;
}

static int compute(const Instruction *given) {
  int tile = given->reg, memory = given->mode != 3;
  switch (given->opcode) {
    case 0x49:
      if (memory && given->prefix == 0) return configure((const uint8_t *)given->base);
      if (memory && given->prefix == 1) {
        memcpy((void *)given->base, tiles.config, CONFIG);
        return 1;
      }
      if (!memory && given->prefix == 0) {
        memset(&tiles, 0, sizeof tiles);
        return 1;
      }
      if (memory || given->prefix != 3 || !tiles.configured) return 0;
      memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
      return 1;
    case 0x4B:
      if (!memory || given->rm != 4 || tile >= TILES || !tiles.configured || !tiles.rows[tile]) return 0;
      if (given->prefix == 0) return 0;
      if (given->prefix != 2) memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
      for (int row = 0; row < tiles.rows[tile]; ++row) {
        uint8_t *at = (uint8_t *)(given->base + (uint64_t)row * given->step);
        if (given->prefix == 2)
          memcpy(at, tiles.data[tile][row], tiles.bytes[tile]);
        else
          memcpy(tiles.data[tile][row], at, tiles.bytes[tile]);
      }
      return 1;
    case 0x5C:
      return !memory && given->prefix == 2 && multiply(tile, given->rm, given->vvvv, 1, 0);
    case 0x5E:
      return !memory && multiply(tile, given->rm, given->vvvv, 0, given->prefix);
  }
  return 0;
}

static void on_illegal(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  Instruction found;
  (void)info;
  if (read_instruction((const uint8_t *)registers[REG_RIP], registers, &found) && compute(&found)) {
    registers[REG_RIP] += found.moves;
    return;
  }
  signal(number, SIG_DFL); /* and once more */
}

static void on_asked(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  __atomic_store_n(&asked, 1, __ATOMIC_RELEASE);
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 0;
}

/* The kernel here refuses ARCH_REQ_XCOMP_PERM for what its CPU lacks: it is answered before it gets there. */
static int answers_for_tiles(void) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1023, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 18, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof steps / sizeof *steps, .filter = steps};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

__attribute__((constructor)) static void installed(void) {
  struct sigaction illegal = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO | SA_NODEFER};
  struct sigaction asking = {.sa_sigaction = on_asked, .sa_flags = SA_SIGINFO};
  sigaction(SIGILL, &illegal, NULL);
  sigaction(SIGSYS, &asking, NULL);
  if (!answers_for_tiles()) asked = 1; /* where no filter can be set nobody sees whether it was asked */
}
