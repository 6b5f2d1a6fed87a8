// How every program here ends when something is wrong: one line on stderr, a non-zero exit.
//
// A benchmark that carries on after an error measures something else, so nothing is retried or
// tolerated unless a caller says so.
#pragma once

// Prints "program: message" and exits with 1.
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The same with the text of errno appended; exits with 111, "the system refused".
_Noreturn void fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));
