// CRC-32C at memory speed: three interleaved streams of the CPU's CRC instruction.
//
// The instruction takes 8 bytes per cycle but answers after 3 cycles, so a single stream reaches a
// third of the speed. A block is cut into three equal lanes that are computed side by side; the
// lanes are then joined with two carry-less multiplications. Joining means moving a checksum past
// n bytes that follow it, which is a multiplication by x^(8n) modulo the polynomial.
//
// Checksums are bit-reflected: bit 31 is the coefficient of x^0. The carry-less product of two
// reflected 32-bit values is their 64-bit product times x, and feeding 64 bits to the CRC
// instruction multiplies by x^32 modulo the polynomial. So the constant for n bytes is x^(8n-33).
//
// The path is chosen once, when the program is loaded.
#include "CCRC32C.h"

#include <string.h>

#define POLYNOMIAL 0x82F63B78u

// A lane is at most this many 8-byte words: a block then is 4,080 bytes, and joining costs about
// 2 % of its time. Shorter input gets one block with shorter lanes.
#define LANE_WORDS_MAX 170
// Below this many bytes three lanes do not pay for their joining.
#define LANES_MIN_BYTES 192

typedef uint32_t (*crc_function)(uint32_t, const uint8_t *, size_t);

static uint32_t slices[8][256];
// lane_shifts[k] moves a checksum past 8 * k bytes.
static uint32_t lane_shifts[2 * LANE_WORDS_MAX + 1];

// The product of two reflected polynomials modulo the CRC's.
static uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b & 1) ? (b >> 1) ^ POLYNOMIAL : b >> 1;
  }
  return product;
}

static uint64_t load64(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

static uint32_t portable(uint32_t crc, const uint8_t *bytes, size_t length) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t word = load64(bytes) ^ crc;
    crc = slices[7][word & 0xFF] ^ slices[6][(word >> 8) & 0xFF] ^ slices[5][(word >> 16) & 0xFF]
        ^ slices[4][(word >> 24) & 0xFF] ^ slices[3][(word >> 32) & 0xFF]
        ^ slices[2][(word >> 40) & 0xFF] ^ slices[1][(word >> 48) & 0xFF] ^ slices[0][word >> 56];
  }
#endif
  for (; length > 0; bytes++, length--) crc = (crc >> 8) ^ slices[0][(crc ^ *bytes) & 0xFF];
  return crc;
}

// Each architecture names its instructions; the algorithm below is written once.
#if defined(__x86_64__)
#include <immintrin.h>
#define HARDWARE "sse4.2"
#define HARDWARE_TARGET __attribute__((target("sse4.2,pclmul")))
#define CRC64(crc, word) _mm_crc32_u64((crc), (word))
#define CRC8(crc, byte) _mm_crc32_u8((uint32_t)(crc), (byte))
#define CARRYLESS(a, b)                                                                            \
  ((uint64_t)_mm_cvtsi128_si64(                                                                    \
      _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)(a)), _mm_cvtsi32_si128((int)(b)), 0)))
static int hardware_present(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <arm_neon.h>
#include <sys/auxv.h>
#define HARDWARE "armv8"
#define HARDWARE_TARGET __attribute__((target("+crc+aes")))
#define CRC64(crc, word) __crc32cd((uint32_t)(crc), (word))
#define CRC8(crc, byte) __crc32cb((uint32_t)(crc), (byte))
#define CARRYLESS(a, b) ((uint64_t)vmull_p64((poly64_t)(uint32_t)(a), (poly64_t)(uint32_t)(b)))
static int hardware_present(void) {
  unsigned long pmull_and_crc32 = (1ul << 4) | (1ul << 7);
  return (getauxval(AT_HWCAP) & pmull_and_crc32) == pmull_and_crc32;
}
#endif

#ifdef HARDWARE
// Three lanes of `words` words each, one after the other in memory.
HARDWARE_TARGET static inline uint32_t lanes(uint64_t crc, const uint8_t *bytes, size_t words) {
  const uint8_t *second = bytes + words * 8;
  const uint8_t *third = second + words * 8;
  uint64_t b = 0, c = 0;
  for (size_t i = 0; i < words * 8; i += 8) {
    crc = CRC64(crc, load64(bytes + i));
    b = CRC64(b, load64(second + i));
    c = CRC64(c, load64(third + i));
  }
  uint64_t joined = CARRYLESS(crc, lane_shifts[2 * words]) ^ CARRYLESS(b, lane_shifts[words]);
  return (uint32_t)(CRC64(0, joined) ^ c);
}

HARDWARE_TARGET static uint32_t hardware(uint32_t crc, const uint8_t *bytes, size_t length) {
  while (length >= LANES_MIN_BYTES) {
    size_t words = length / 24;
    if (words > LANE_WORDS_MAX) words = LANE_WORDS_MAX;
    crc = lanes(crc, bytes, words);
    bytes += words * 24;
    length -= words * 24;
  }
  uint64_t wide = crc;
  for (; length >= 8; bytes += 8, length -= 8) wide = CRC64(wide, load64(bytes));
  crc = (uint32_t)wide;
  for (; length > 0; bytes++, length--) crc = CRC8(crc, *bytes);
  return crc;
}
#endif

static crc_function chosen = portable;

// Runs before main, so that no call ever waits for it or races with it.
__attribute__((constructor)) static void choose(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
    slices[0][byte] = crc;
  }
  for (int slice = 1; slice < 8; slice++) {
    for (int byte = 0; byte < 256; byte++) {
      uint32_t crc = slices[slice - 1][byte];
      slices[slice][byte] = (crc >> 8) ^ slices[0][crc & 0xFF];
    }
  }
#ifdef HARDWARE
  if (!hardware_present()) return;
  // x^31 is the lowest bit; lane_shifts[1] = x^(64-33) = x^31, and each word multiplies by x^64.
  uint32_t word = multiply(multiply(1, 1), 1u << 29);
  lane_shifts[1] = 1;
  for (int k = 2; k <= 2 * LANE_WORDS_MAX; k++) lane_shifts[k] = multiply(lane_shifts[k - 1], word);
  chosen = hardware;
#endif
}

uint32_t sluice_crc32c(uint32_t crc, const void *bytes, size_t length) {
  return ~chosen(~crc, bytes, length);
}

uint32_t sluice_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
  return ~portable(~crc, bytes, length);
}

uint32_t sluice_crc32c_shift(uint32_t difference, size_t length) {
  // Square and multiply: `power` runs through x^8, x^16, x^32 …
  uint32_t power = 1u << 23;
  for (; length != 0; length >>= 1) {
    if (length & 1) difference = multiply(difference, power);
    power = multiply(power, power);
  }
  return difference;
}

const char *sluice_crc32c_path(void) {
#ifdef HARDWARE
  if (chosen == hardware) return HARDWARE;
#endif
  return "portable";
}
