// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of Kafka's record batches.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Continues `crc` over `length` bytes. Start with 0; the result of one call is the `crc` of the next.
uint32_t sluice_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same with tables only: what a machine without CRC instructions uses, and the yardstick of
/// the tests.
uint32_t sluice_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

/// The change in the checksum of a message when bytes before its last `length` bytes change and
/// `difference` is the change in the checksum of the part up to there: no byte is read.
uint32_t sluice_crc32c_shift(uint32_t difference, size_t length);

/// The name of the path taken on this machine: "sse4.2", "armv8" or "portable".
const char *sluice_crc32c_path(void);
