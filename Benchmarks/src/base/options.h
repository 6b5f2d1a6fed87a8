// Command lines as tables: `--name value` pairs and `--flag`s stored where the table says.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum option_kind {
  OPTION_TEXT,    // const char *
  OPTION_NUMBER,  // uint64_t; a suffix K, M or G multiplies by a power of 1,024
  OPTION_SIGNED,  // int64_t
  OPTION_SECONDS, // uint64_t nanoseconds, from a decimal number of seconds
  OPTION_FLAG,    // bool; takes no value
};

struct option_row {
  const char *name;
  enum option_kind kind;
  void *value;
  const char *help;
};

// The table ends with a row without a name. Unknown names and bad values end the program;
// `--help` prints `usage` and the table.
void options_read(int count, char **arguments, const char *usage, const struct option_row *rows);
