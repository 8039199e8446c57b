//go:build cgo

#include "convolve.h"

enum { PHASE_BITS = 7, PART_BITS = 32 - PHASE_BITS }; // phaseBits in Go

// Four floats at any address.
typedef float vector __attribute__((vector_size(16), aligned(4), may_alias));

static inline vector load(const float *p) { return *(const vector *)p; }

static inline int16_t to_int16(vector v)
{
	float sum = (v[0] + v[1]) + (v[2] + v[3]);
	sum = sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum;
	return (int16_t)(sum + (sum < 0 ? -0.5f : 0.5f)); // cannot leave the range: 32767.5 becomes 32767
}

void cr_convolve(const float *rows, int taps, const float *left, const float *right,
	int16_t *out, int count, uint64_t position, uint64_t step)
{
	for (int i = 0; i < count; i++, position += step) {
		uint32_t fraction = (uint32_t)position;
		const float *a = rows + (long)(fraction >> PART_BITS) * taps, *b = a + taps;
		const float *l = left + (position >> 32), *r = right + (position >> 32);
		float part = (float)(fraction & ((1u << PART_BITS) - 1)) / (1u << PART_BITS);
		vector f = {part, part, part, part};
		vector sum_left = {0}, sum_right = {0};
		for (int j = 0; j < taps; j += 4) {
			vector c = load(a + j);
			c += f * (load(b + j) - c);
			sum_left += c * load(l + j);
			sum_right += c * load(r + j);
		}
		out[2 * i] = to_int16(sum_left);
		out[2 * i + 1] = to_int16(sum_right);
	}
}
