#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fail.h"

static uint64_t scale_of(const char *suffix) {
  if (*suffix == '\0') return 1;
  if (suffix[1] == '\0') {
    if (*suffix == 'K') return 1ull << 10;
    if (*suffix == 'M') return 1ull << 20;
    if (*suffix == 'G') return 1ull << 30;
  }
  return 0;
}

static uint64_t number(const char *name, const char *text) {
  char *end;
  errno = 0;
  uint64_t value = strtoull(text, &end, 10);
  uint64_t scale = scale_of(end);
  if (errno != 0 || end == text || *text == '-' || scale == 0) {
    fail("--%s: bad number %s", name, text);
  }
  return value * scale;
}

static int64_t signed_number(const char *name, const char *text) {
  char *end;
  errno = 0;
  int64_t value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0') fail("--%s: bad number %s", name, text);
  return value;
}

static uint64_t seconds(const char *name, const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= 0 && value < 1e6)) {
    fail("--%s: bad number of seconds %s", name, text);
  }
  return (uint64_t)(value * (double)NANOSECONDS_PER_SECOND);
}

_Noreturn static void help(const char *usage, const struct option_row *rows) {
  printf("%s\n\n", usage);
  for (; rows->name; rows++) printf("  --%-20s %s\n", rows->name, rows->help);
  exit(0);
}

static void store(const struct option_row *row, const char *text) {
  switch (row->kind) {
    case OPTION_TEXT: *(const char **)row->value = text; break;
    case OPTION_NUMBER: *(uint64_t *)row->value = number(row->name, text); break;
    case OPTION_SIGNED: *(int64_t *)row->value = signed_number(row->name, text); break;
    case OPTION_SECONDS: *(uint64_t *)row->value = seconds(row->name, text); break;
    case OPTION_FLAG: *(bool *)row->value = true; break;
  }
}

static const struct option_row *find(const struct option_row *rows, const char *argument) {
  if (strncmp(argument, "--", 2) == 0) {
    for (; rows->name; rows++) {
      if (strcmp(rows->name, argument + 2) == 0) return rows;
    }
  }
  fail("unknown argument %s; --help lists what there is", argument);
}

void options_read(int count, char **arguments, const char *usage, const struct option_row *rows) {
  for (int i = 0; i < count; i++) {
    if (strcmp(arguments[i], "--help") == 0) help(usage, rows);
    const struct option_row *row = find(rows, arguments[i]);
    if (row->kind == OPTION_FLAG) {
      store(row, NULL);
    } else if (++i < count) {
      store(row, arguments[i]);
    } else {
      fail("--%s needs a value", row->name);
    }
  }
}
