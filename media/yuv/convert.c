//go:build cgo

#include "convert.h"

#include <libyuv/convert.h>
#include <libyuv/convert_argb.h>
#include <libyuv/convert_from_argb.h>
#include <libyuv/planar_functions.h>
#include <string.h>

// enum retro_pixel_format
enum { FORMAT_0RGB1555 = 0, FORMAT_XRGB8888 = 1, FORMAT_RGB565 = 2 };

enum { BAND_ROWS = 16, MAX_SCALE = 4 }; // bandRows and MaxScale in Go

// One picture on its way, and the scratch memory of a band.
typedef struct {
	int format, width, scale;
	uint8_t *argb, *y, *u, *v; // BAND_ROWS rows of width pixels
	uint8_t *row[3];           // each of MAX_SCALE * width bytes
} band;

static void carve(band *b, uint8_t *memory)
{
	int pixels = BAND_ROWS * b->width;
	b->argb = memory;
	b->y = b->argb + 4 * pixels;
	b->u = b->y + pixels;
	b->v = b->u + pixels;
	for (int i = 0; i < 3; i++)
		b->row[i] = b->v + pixels + i * MAX_SCALE * b->width;
}

// to_i444 converts rows of the picture to y, u and v at the native size.
static void to_i444(const band *b, const uint8_t *src, int stride, int rows,
	uint8_t *y, int stride_y, uint8_t *u, uint8_t *v, int stride_uv)
{
	if (b->format == FORMAT_RGB565) {
		RGB565ToARGB(src, stride, b->argb, 4 * b->width, b->width, rows);
		src = b->argb, stride = 4 * b->width;
	} else if (b->format == FORMAT_0RGB1555) {
		ARGB1555ToARGB(src, stride, b->argb, 4 * b->width, b->width, rows);
		src = b->argb, stride = 4 * b->width;
	}
	ARGBToI444(src, stride, y, stride_y, u, stride_uv, v, stride_uv, b->width, rows);
}

// twice writes each of the n bytes of src two times. It is what libyuv does with
// vectors when it interleaves two chroma rows, here one row with itself.
static void twice(const uint8_t *src, uint8_t *dst, int n)
{
	MergeUVPlane(src, n, src, n, dst, 2 * n, n, 1);
}

static void three_times(const uint8_t *src, uint8_t *dst, int n)
{
	for (int i = 0; i < n; i++)
		dst[3 * i] = dst[3 * i + 1] = dst[3 * i + 2] = src[i];
}

// half_again makes three bytes of two, the middle one their mean. The result has
// (3*n+1)/2 bytes: an odd last byte is written twice.
static void half_again(const uint8_t *src, uint8_t *dst, int n)
{
	int i = 0;
	for (; i + 1 < n; i += 2, dst += 3) {
		dst[0] = src[i];
		dst[1] = (src[i] + src[i + 1] + 1) / 2;
		dst[2] = src[i + 1];
	}
	if (i < n)
		dst[0] = dst[1] = src[i];
}

static void mean(const uint8_t *a, const uint8_t *b, uint8_t *dst, int n)
{
	for (int i = 0; i < n; i++)
		dst[i] = (a[i] + b[i] + 1) / 2;
}

// repeat copies the row at dst to the next count rows.
static void repeat(uint8_t *dst, int stride, int n, int count)
{
	for (int i = 1; i <= count; i++)
		memcpy(dst + i * stride, dst, n);
}

// luma writes the band's rows of y, scaled, to dst.
static void luma(const band *b, int rows, uint8_t *dst, int stride)
{
	for (int r = 0; r < rows; r++, dst += b->scale * stride) {
		const uint8_t *src = b->y + r * b->width;
		switch (b->scale) {
		case 2:
			twice(src, dst, b->width);
			break;
		case 3:
			three_times(src, dst, b->width);
			break;
		case 4:
			twice(src, b->row[0], b->width);
			twice(b->row[0], dst, 2 * b->width);
			break;
		}
		repeat(dst, stride, b->scale * b->width, b->scale - 1);
	}
}

// chroma_twice writes the rows of one plane at twice the size (scale 4).
static void chroma_twice(const band *b, const uint8_t *src, int rows, uint8_t *dst, int stride)
{
	for (int r = 0; r < rows; r++, dst += 2 * stride) {
		twice(src + r * b->width, dst, b->width);
		repeat(dst, stride, 2 * b->width, 1);
	}
}

// chroma_half_again writes the rows of one plane at one and a half times the
// size (scale 3). rows is even except at the end of the picture.
static void chroma_half_again(const band *b, const uint8_t *src, int rows, uint8_t *dst, int stride)
{
	int n = (3 * b->width + 1) / 2;
	for (int r = 0; r < rows; r += 2, dst += 3 * stride) {
		half_again(src + r * b->width, dst, b->width);
		if (r + 1 == rows) {
			repeat(dst, stride, n, 1);
			return;
		}
		half_again(src + (r + 1) * b->width, dst + 2 * stride, b->width);
		mean(dst, dst + 2 * stride, dst + stride, n);
	}
}

static void native(int format, int width, int height, const uint8_t *src, int stride,
	uint8_t *y, uint8_t *u, uint8_t *v, int stride_y, int stride_uv)
{
	switch (format) {
	case FORMAT_XRGB8888:
		ARGBToI420(src, stride, y, stride_y, u, stride_uv, v, stride_uv, width, height);
		break;
	case FORMAT_RGB565:
		RGB565ToI420(src, stride, y, stride_y, u, stride_uv, v, stride_uv, width, height);
		break;
	case FORMAT_0RGB1555:
		ARGB1555ToI420(src, stride, y, stride_y, u, stride_uv, v, stride_uv, width, height);
		break;
	}
}

static void scaled(const band *b, int height, const uint8_t *src, int stride,
	uint8_t *y, uint8_t *u, uint8_t *v, int stride_y, int stride_uv)
{
	for (int top = 0; top < height; top += BAND_ROWS) {
		int rows = height - top < BAND_ROWS ? height - top : BAND_ROWS;
		const uint8_t *from = src + (long)top * stride;
		uint8_t *to_y = y + (long)top * b->scale * stride_y;
		long to_uv = (long)top * b->scale / 2 * stride_uv;
		if (b->scale == 2) { // a chroma sample for each pixel: U and V are final as they are
			to_i444(b, from, stride, rows, b->y, b->width, u + to_uv, v + to_uv, stride_uv);
		} else {
			to_i444(b, from, stride, rows, b->y, b->width, b->u, b->v, b->width);
			if (b->scale == 4) {
				chroma_twice(b, b->u, rows, u + to_uv, stride_uv);
				chroma_twice(b, b->v, rows, v + to_uv, stride_uv);
			} else {
				chroma_half_again(b, b->u, rows, u + to_uv, stride_uv);
				chroma_half_again(b, b->v, rows, v + to_uv, stride_uv);
			}
		}
		luma(b, rows, to_y, stride_y);
	}
}

// extend repeats the last column and row of a plane of which w x h bytes are
// written, up to out_w x out_h.
static void extend(uint8_t *plane, int stride, int w, int h, int out_w, int out_h)
{
	if (w < out_w)
		for (int r = 0; r < h; r++)
			memset(plane + r * stride + w, plane[r * stride + w - 1], out_w - w);
	repeat(plane + (h - 1) * stride, stride, out_w, out_h - h);
}

void cr_convert(int format, int width, int height, const uint8_t *src, int stride, int scale, uint8_t *memory,
	uint8_t *y, uint8_t *u, uint8_t *v, int stride_y, int stride_uv, int out_width, int out_height)
{
	if (scale == 1) {
		native(format, width, height, src, stride, y, u, v, stride_y, stride_uv);
	} else {
		band b = {.format = format, .width = width, .scale = scale};
		carve(&b, memory);
		scaled(&b, height, src, stride, y, u, v, stride_y, stride_uv);
	}
	int w = width * scale, h = height * scale;
	int cw = (w + 1) / 2, ch = (h + 1) / 2;
	extend(y, stride_y, w, h, out_width, out_height);
	extend(u, stride_uv, cw, ch, out_width / 2, out_height / 2);
	extend(v, stride_uv, cw, ch, out_width / 2, out_height / 2);
}
