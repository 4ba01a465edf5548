// Runs kernels on the calls of a file, every operand flush against pages that may not be touched: run_kernels <calls> <results>
//
// A call is i64 words (kernel, operands, inputs, workgroups x, workgroups y, runs, bytes of each operand), then the bytes of the inputs. The
// operand behind these is the result, one behind that working memory. It runs twice: operands before a guard page and workgroups in order,
// then behind one and in reverse. A third run has the result where the second input, the residual, was. All results are written. A kernel
// that leaves its operands or writes into an input ends the program with a line that names the call.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int64_t i64;
typedef void (*Three)(i64, i64, i64, i64, i64, i64, i64, i64);
typedef void (*Four)(i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);

// -DKERNELS='KERNEL(name) KERNEL(name) …'
#define KERNEL(name) void name(void);
KERNELS
#undef KERNEL
#define KERNEL(name) name,
static void (*const kernels[])(void) = {KERNELS};

enum { MOST_OPERANDS = 4, RESIDUAL = 1 };
enum { FIRST, REVERSED, IN_PLACE };

typedef struct {
  uint8_t *data, *map;
  i64 size, inner;
} Operand;

static char crash_message[100];
static i64 page;

static void fail(const char *what) {
  fprintf(stderr, "%s%s\n", crash_message, what);
  exit(3);
}

static void on_fault(int signal) {
  static const char what[] = "touched memory outside its operands, or wrote into an input\n";
  (void)signal;
  (void)!write(2, crash_message, strlen(crash_message));
  (void)!write(2, what, sizeof what - 1);
  _exit(4);
}

static Operand place(i64 size, int at_end, int fill) {
  Operand o = {0, 0, size, (size + page - 1) / page * page};
  uint8_t *whole = mmap(0, o.inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) fail("no memory");
  o.map = whole + page;
  mprotect(o.map, o.inner, PROT_READ | PROT_WRITE);
  memset(o.map, fill, o.inner);
  o.data = at_end ? o.map + o.inner - size : o.map;
  return o;
}

static void read_exactly(void *to, i64 size, FILE *from) {
  if (size && fread(to, 1, size, from) != (size_t)size) fail("is cut short");
}

static void dispatch(void (*kernel)(void), i64 count, const Operand *o, i64 x, i64 y) {
  // As in IREE, a pointer is the start of a buffer and the operand lies at an offset; nothing at the start may be read.
  i64 p[MOST_OPERANDS], offset[MOST_OPERANDS];
  for (i64 i = 0; i < count; i++) offset[i] = 64 * (i + 1), p[i] = (i64)o[i].data - offset[i];
  if (count == 3)
    ((Three)kernel)(p[0], p[1], p[2], offset[0], offset[1], offset[2], x, y);
  else
    ((Four)kernel)(p[0], p[1], p[2], p[3], offset[0], offset[1], offset[2], offset[3], x, y);
}

static void run(const i64 *head, const i64 *sizes, const uint8_t *const *inputs, int which, FILE *results) {
  const i64 count = head[1], result = head[2], wide = head[3], groups = head[3] * head[4];
  const int fill = which == REVERSED ? 0x5A : 0xA5;  // what is never written differs between the runs
  Operand o[MOST_OPERANDS], seen[MOST_OPERANDS];
  for (i64 i = 0; i < count; i++) {
    o[i] = place(sizes[i], which != REVERSED, fill);
    if (i >= result) continue;
    memcpy(o[i].data, inputs[i], sizes[i]);
    mprotect(o[i].map, o[i].inner, PROT_READ);
  }
  memcpy(seen, o, sizeof o);
  if (which == IN_PLACE) memcpy(o[result].data, inputs[RESIDUAL], sizes[RESIDUAL]), seen[RESIDUAL] = o[result];
  for (i64 i = 0; i < groups; i++) {
    const i64 group = which == REVERSED ? groups - 1 - i : i;
    dispatch(kernels[head[0]], count, seen, group % wide, group / wide);
  }
  for (const Operand *out = &o[result]; out != &o[count]; out++)
    for (i64 i = 0; i < out->inner; i++)
      if ((out->map + i < out->data || out->map + i >= out->data + out->size) && out->map[i] != fill) fail("wrote outside its result");
  fwrite(o[result].data, 1, o[result].size, results);
  for (i64 i = 0; i < count; i++) munmap(o[i].map - page, o[i].inner + 2 * page);
}

int main(int argc, char **argv) {
  FILE *calls = argc == 3 ? fopen(argv[1], "rb") : 0, *results = argc == 3 ? fopen(argv[2], "wb") : 0;
  if (!calls || !results) fail("usage: run_kernels <calls> <results>");
  page = sysconf(_SC_PAGESIZE);
  signal(SIGSEGV, on_fault), signal(SIGBUS, on_fault);
  i64 head[6], sizes[MOST_OPERANDS];
  for (i64 index = 0; fread(head, sizeof head, 1, calls) == 1; index++) {
    snprintf(crash_message, sizeof crash_message, "call %ld ", (long)index);
    uint8_t *inputs[MOST_OPERANDS] = {0};
    if (head[1] != 3 && head[1] != 4) fail("must have three or four operands");
    read_exactly(sizes, 8 * head[1], calls);
    for (i64 i = 0; i < head[2]; i++) read_exactly(inputs[i] = malloc(sizes[i]), sizes[i], calls);
    for (int which = 0; which < head[5]; which++) run(head, sizes, (const uint8_t *const *)inputs, which, results);
    for (i64 i = 0; i < head[2]; i++) free(inputs[i]);
  }
  return fclose(results) != 0;
}
