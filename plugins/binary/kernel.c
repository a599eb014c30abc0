/* Products of sign matrices: XNOR and popcount over packed 64-bit words.
 *
 * A dot product of n signs is n minus twice the number of places where they differ, and the
 * differing places of 64 signs are the bits of one exclusive or. Words of eight rows lie side by
 * side ("blocks": [rows / 8][words][8]), so that vectors run over rows and nothing is summed across
 * a vector. A block meets up to ROWS plain rows ([rows][words]) at once.
 *
 * Everything is exact: counts are integers, and scale and bias are applied as torch applies them,
 * one rounding each (-ffp-contract=off).
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define LANES 8
#define ROWS 4
/* Byte counters take 8 at most a word; so many words fit before they overflow. */
#define BYTE_WORDS 31

#if defined(__AVX512VPOPCNTDQ__) && defined(__AVX512F__)

const char *binary_kernel(void) { return "avx512-vpopcntdq"; }

static void differing(const uint64_t *block, const uint64_t *rows, long stride, long words,
                      int32_t counts[ROWS][LANES]) {
    __m512i sum[ROWS];
    for (int r = 0; r < ROWS; r++) sum[r] = _mm512_setzero_si512();
    for (long w = 0; w < words; w++) {
        __m512i own = _mm512_loadu_si512(block + LANES * w);
        for (int r = 0; r < ROWS; r++) {
            __m512i other = _mm512_set1_epi64((long long)rows[r * stride + w]);
            __m512i apart = _mm512_popcnt_epi64(_mm512_xor_si512(own, other));
            sum[r] = _mm512_add_epi64(sum[r], apart);
        }
    }
    for (int r = 0; r < ROWS; r++)
        _mm256_storeu_si256((__m256i *)counts[r], _mm512_cvtepi64_epi32(sum[r]));
}

#elif defined(__AVX2__)

const char *binary_kernel(void) { return "avx2"; }

/* Popcount of each byte by tables of nibbles (Mula et al. 2018, arXiv:1611.07612). */
static inline __m256i byte_counts(__m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                           2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    __m256i right = _mm256_shuffle_epi8(table, _mm256_and_si256(x, low));
    __m256i left = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
    return _mm256_add_epi8(right, left);
}

static void differing(const uint64_t *block, const uint64_t *rows, long stride, long words,
                      int32_t counts[ROWS][LANES]) {
    for (int half = 0; half < 2; half++) {
        __m256i sum[ROWS];
        for (int r = 0; r < ROWS; r++) sum[r] = _mm256_setzero_si256();
        for (long from = 0; from < words; from += BYTE_WORDS) {
            long to = from + BYTE_WORDS < words ? from + BYTE_WORDS : words;
            __m256i bytes[ROWS];
            for (int r = 0; r < ROWS; r++) bytes[r] = _mm256_setzero_si256();
            for (long w = from; w < to; w++) {
                __m256i own = _mm256_loadu_si256((const __m256i *)(block + LANES * w + 4 * half));
                for (int r = 0; r < ROWS; r++) {
                    __m256i other = _mm256_set1_epi64x((long long)rows[r * stride + w]);
                    __m256i apart = byte_counts(_mm256_xor_si256(own, other));
                    bytes[r] = _mm256_add_epi8(bytes[r], apart);
                }
            }
            for (int r = 0; r < ROWS; r++) {
                __m256i four = _mm256_sad_epu8(bytes[r], _mm256_setzero_si256());
                sum[r] = _mm256_add_epi64(sum[r], four);
            }
        }
        for (int r = 0; r < ROWS; r++) {
            int64_t four[4];
            _mm256_storeu_si256((__m256i *)four, sum[r]);
            for (int i = 0; i < 4; i++) counts[r][4 * half + i] = (int32_t)four[i];
        }
    }
}

#elif defined(__aarch64__)

const char *binary_kernel(void) { return "neon"; }

static void differing(const uint64_t *block, const uint64_t *rows, long stride, long words,
                      int32_t counts[ROWS][LANES]) {
    for (int pair = 0; pair < LANES / 2; pair++) {
        uint64x2_t sum[ROWS];
        for (int r = 0; r < ROWS; r++) sum[r] = vdupq_n_u64(0);
        for (long from = 0; from < words; from += BYTE_WORDS) {
            long to = from + BYTE_WORDS < words ? from + BYTE_WORDS : words;
            uint8x16_t bytes[ROWS];
            for (int r = 0; r < ROWS; r++) bytes[r] = vdupq_n_u8(0);
            for (long w = from; w < to; w++) {
                uint64x2_t own = vld1q_u64(block + LANES * w + 2 * pair);
                for (int r = 0; r < ROWS; r++) {
                    uint64x2_t other = vdupq_n_u64(rows[r * stride + w]);
                    uint8x16_t apart = vreinterpretq_u8_u64(veorq_u64(own, other));
                    bytes[r] = vaddq_u8(bytes[r], vcntq_u8(apart));
                }
            }
            for (int r = 0; r < ROWS; r++)
                sum[r] = vaddq_u64(sum[r], vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes[r]))));
        }
        for (int r = 0; r < ROWS; r++) {
            counts[r][2 * pair] = (int32_t)vgetq_lane_u64(sum[r], 0);
            counts[r][2 * pair + 1] = (int32_t)vgetq_lane_u64(sum[r], 1);
        }
    }
}

#else

const char *binary_kernel(void) { return "portable"; }

static void differing(const uint64_t *block, const uint64_t *rows, long stride, long words,
                      int32_t counts[ROWS][LANES]) {
    memset(counts, 0, sizeof(int32_t) * ROWS * LANES);
    for (long w = 0; w < words; w++)
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < LANES; i++)
                counts[r][i] += __builtin_popcountll(block[LANES * w + i] ^ rows[r * stride + w]);
}

#endif

/* Bit c of a row of words is 1 where x[c] is at least threshold[c]; bits past the last are 0. */
static void pack_row(const float *x, const float *threshold, long channels, uint64_t *row) {
    for (long first = 0, w = 0; first < channels; first += 64, w++) {
        long count = channels - first < 64 ? channels - first : 64, c = 0;
        const float *a = x + first, *t = threshold + first;
        uint64_t bits = 0;
#if defined(__AVX512F__)
        for (; c + 16 <= count; c += 16)
            bits |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(a + c), _mm512_loadu_ps(t + c),
                                                 _CMP_GE_OQ)
                    << c;
#elif defined(__AVX2__)
        for (; c + 8 <= count; c += 8) {
            __m256 at_least = _mm256_cmp_ps(_mm256_loadu_ps(a + c), _mm256_loadu_ps(t + c),
                                            _CMP_GE_OQ);
            bits |= (uint64_t)(uint32_t)_mm256_movemask_ps(at_least) << c;
        }
#endif
        for (; c < count; c++) bits |= (uint64_t)(a[c] >= t[c]) << c;
        row[w] = bits;
    }
}

/* The first `lanes` of (entries - 2 counts) * by + plus. */
static inline void finish(float *out, const int32_t counts[LANES], int32_t entries,
                          const float by[LANES], const float plus[LANES], long lanes) {
    float values[LANES];
#if defined(__AVX2__)
    __m256i twice = _mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)counts), 1);
    __m256 dots = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_set1_epi32(entries), twice));
    __m256 scaled = _mm256_mul_ps(dots, _mm256_loadu_ps(by));
    __m256 found = _mm256_add_ps(scaled, _mm256_loadu_ps(plus));
    if (lanes == LANES) {
        _mm256_storeu_ps(out, found);
        return;
    }
    _mm256_storeu_ps(values, found);
#else
    for (int i = 0; i < LANES; i++) values[i] = (float)(entries - 2 * counts[i]) * by[i] + plus[i];
#endif
    memcpy(out, values, sizeof(float) * (size_t)lanes);
}

/* out[row][output] of plain rows x (positions, inputs); weight is in blocks of outputs.
 *
 * Returns 0, or 1 where there is no memory. Scale and bias may be null.
 */
int binary_linear(const float *x, const float *threshold, const uint64_t *weight,
                  const float *scale, const float *bias, float *out, const int64_t *sizes) {
    const long positions = sizes[0], inputs = sizes[1], outputs = sizes[2];
    const long words = (inputs + 63) / 64, padded = (positions + ROWS - 1) / ROWS * ROWS;
    uint64_t *rows = malloc(sizeof(uint64_t) * (size_t)(padded * words));
    if (!rows) return 1;
    for (long p = 0; p < positions; p++)
        pack_row(x + p * inputs, threshold, inputs, rows + p * words);
    memset(rows + positions * words, 0, sizeof(uint64_t) * (size_t)((padded - positions) * words));
    for (long first = 0; first < outputs; first += LANES) {
        const uint64_t *block = weight + first * words;
        const long lanes = outputs - first < LANES ? outputs - first : LANES;
        float by[LANES], plus[LANES];
        for (long i = 0; i < LANES; i++) {
            by[i] = scale && i < lanes ? scale[first + i] : 1.0f;
            plus[i] = bias && i < lanes ? bias[first + i] : 0.0f;
        }
        for (long p = 0; p < positions; p += ROWS) {
            int32_t counts[ROWS][LANES];
            differing(block, rows + p * words, words, words, counts);
            const long here = positions - p < ROWS ? positions - p : ROWS;
            for (long r = 0; r < here; r++)
                finish(out + (p + r) * outputs + first, counts[r], (int32_t)inputs, by, plus, lanes);
        }
    }
    free(rows);
    return 0;
}

/* Sizes of a convolution over two dimensions; one of them may be 1. */
enum { SAMPLES, CHANNELS, HEIGHT, WIDTH, OUTPUTS, KERNEL_Y, KERNEL_X, STRIDE_Y, STRIDE_X, ABOVE,
       BELOW, LEFT, RIGHT, DILATION_Y, DILATION_X, OUT_Y, OUT_X };

/* Signs of the channels at every place of a padded plane, [words][place]; the border is +1. */
static void pack_plane(const float *x, const float *threshold, const int64_t *s, uint64_t *plane) {
    const long high = s[HEIGHT] + s[ABOVE] + s[BELOW], wide = s[WIDTH] + s[LEFT] + s[RIGHT];
    for (long first = 0; first < s[CHANNELS]; first += 64, plane += high * wide) {
        const long count = s[CHANNELS] - first < 64 ? s[CHANNELS] - first : 64;
        const uint64_t every = count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1;
        for (long i = 0; i < high * wide; i++) plane[i] = every;
        for (long y = 0; y < s[HEIGHT]; y++)
            memset(plane + (y + s[ABOVE]) * wide + s[LEFT], 0, sizeof(uint64_t) * (size_t)s[WIDTH]);
        for (long c = 0; c < count; c++) {
            const float *from = x + (first + c) * s[HEIGHT] * s[WIDTH];
            const float least = threshold[first + c];
            for (long y = 0; y < s[HEIGHT]; y++) {
                uint64_t *to = plane + (y + s[ABOVE]) * wide + s[LEFT];
                for (long i = 0; i < s[WIDTH]; i++)
                    to[i] |= (uint64_t)(from[y * s[WIDTH] + i] >= least) << c;
            }
        }
    }
}

/* The windows of LANES output places from `first`, as a block; places past the last repeat it. */
static void gather(const uint64_t *plane, const int64_t *s, long first, long words,
                   uint64_t *block) {
    const long high = s[HEIGHT] + s[ABOVE] + s[BELOW], wide = s[WIDTH] + s[LEFT] + s[RIGHT];
    const long places = s[OUT_Y] * s[OUT_X];
    long at[LANES];
    for (int i = 0; i < LANES; i++) {
        const long p = first + i < places ? first + i : places - 1;
        at[i] = p / s[OUT_X] * s[STRIDE_Y] * wide + p % s[OUT_X] * s[STRIDE_X];
    }
    const int straight = at[LANES - 1] - at[0] == LANES - 1;
    memset(block, 0, sizeof(uint64_t) * (size_t)(LANES * words));
    long bit = 0;
    for (long ky = 0; ky < s[KERNEL_Y]; ky++)
        for (long kx = 0; kx < s[KERNEL_X]; kx++) {
            const uint64_t *here = plane + ky * s[DILATION_Y] * wide + kx * s[DILATION_X];
            for (long left = s[CHANNELS]; left > 0; left -= 64, here += high * wide) {
                const long count = left < 64 ? left : 64, shift = bit & 63;
                uint64_t *to = block + (bit >> 6) * LANES, bits[LANES];
                if (straight)
                    memcpy(bits, here + at[0], sizeof bits);
                else
                    for (int i = 0; i < LANES; i++) bits[i] = here[at[i]];
                for (int i = 0; i < LANES; i++) to[i] |= bits[i] << shift;
                if (shift + count > 64)
                    for (int i = 0; i < LANES; i++) to[LANES + i] |= bits[i] >> (64 - shift);
                bit += count;
            }
        }
}

/* out[sample][output][place] of x (samples, channels, height, width); weight is in plain rows,
 * their number filled up to ROWS. Returns as `binary_linear` does.
 */
int binary_convolution(const float *x, const float *threshold, const uint64_t *weight,
                       const float *scale, const float *bias, float *out, const int64_t *s) {
    const long high = s[HEIGHT] + s[ABOVE] + s[BELOW], wide = s[WIDTH] + s[LEFT] + s[RIGHT];
    const long entries = s[CHANNELS] * s[KERNEL_Y] * s[KERNEL_X], words = (entries + 63) / 64;
    const long places = s[OUT_Y] * s[OUT_X], planes = (s[CHANNELS] + 63) / 64;
    uint64_t *plane = malloc(sizeof(uint64_t) * (size_t)(planes * high * wide));
    uint64_t *block = malloc(sizeof(uint64_t) * (size_t)(LANES * words));
    if (!plane || !block) {
        free(plane);
        free(block);
        return 1;
    }
    for (long n = 0; n < s[SAMPLES]; n++, out += s[OUTPUTS] * places) {
        pack_plane(x + n * s[CHANNELS] * s[HEIGHT] * s[WIDTH], threshold, s, plane);
        for (long p = 0; p < places; p += LANES) {
            const long lanes = places - p < LANES ? places - p : LANES;
            gather(plane, s, p, words, block);
            for (long o = 0; o < s[OUTPUTS]; o += ROWS) {
                int32_t counts[ROWS][LANES];
                differing(block, weight + o * words, words, words, counts);
                const long here = s[OUTPUTS] - o < ROWS ? s[OUTPUTS] - o : ROWS;
                for (long r = 0; r < here; r++) {
                    float by[LANES], plus[LANES];
                    for (int i = 0; i < LANES; i++) by[i] = scale ? scale[o + r] : 1.0f;
                    for (int i = 0; i < LANES; i++) plus[i] = bias ? bias[o + r] : 0.0f;
                    float *to = out + (o + r) * places + p;
                    finish(to, counts[r], (int32_t)entries, by, plus, lanes);
                }
            }
        }
    }
    free(plane);
    free(block);
    return 0;
}
