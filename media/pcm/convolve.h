//go:build cgo

#ifndef CR_PCM_CONVOLVE_H
#define CR_PCM_CONVOLVE_H

#include <stdint.h>

// Fills count samples (left, right) of out; see convolvePlain in Go. taps is a
// multiple of 4. The caller has made sure that the taps of the last sample end
// within left and right.
void cr_convolve(const float *rows, int taps, const float *left, const float *right,
	int16_t *out, int count, uint64_t position, uint64_t step);

#endif
