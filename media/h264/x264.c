//go:build cgo && linux

#include "encoder.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x264.h>

#define STR_(x) #x
#define STR(x) STR_(x)
#define SONAME "libx264.so." STR(X264_BUILD)

typedef struct {
	void *handle;
	x264_t *(*open)(x264_param_t *);
	int (*reconfig)(x264_t *, x264_param_t *);
	void (*parameters)(x264_t *, x264_param_t *);
	int (*encode)(x264_t *, x264_nal_t **, int *, x264_picture_t *, x264_picture_t *);
	void (*close)(x264_t *);
	void (*picture_init)(x264_picture_t *);
	int (*default_preset)(x264_param_t *, const char *, const char *);
	int (*apply_profile)(x264_param_t *, const char *);
} api;

typedef struct {
	cr_encoder base;
	api lib;
	x264_t *x;
	int64_t pts;
	int max_output;
} encoder;

// load fills lib. The names with a version are those that x264.h makes for the
// X264_BUILD that this file is compiled with, so another version cannot be taken by mistake.
static int load(api *lib, char *reason)
{
	memset(lib, 0, sizeof *lib);
	lib->handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle) {
		snprintf(reason, CR_REASON_SIZE, "%s", dlerror());
		return CR_UNAVAILABLE;
	}
	const struct { const char *name; void **to; } symbols[] = {
		{STR(x264_encoder_open), (void **)&lib->open},
		{"x264_encoder_reconfig", (void **)&lib->reconfig},
		{"x264_encoder_parameters", (void **)&lib->parameters},
		{"x264_encoder_encode", (void **)&lib->encode},
		{"x264_encoder_close", (void **)&lib->close},
		{"x264_picture_init", (void **)&lib->picture_init},
		{"x264_param_default_preset", (void **)&lib->default_preset},
		{"x264_param_apply_profile", (void **)&lib->apply_profile},
	};
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		*symbols[i].to = dlsym(lib->handle, symbols[i].name);
		if (!*symbols[i].to) {
			snprintf(reason, CR_REASON_SIZE, SONAME " has no %s", symbols[i].name);
			dlclose(lib->handle);
			return CR_UNAVAILABLE;
		}
	}
	return CR_OK;
}

int cr_x264_probe(char *reason)
{
	api lib;
	int rc = load(&lib, reason);
	if (rc == CR_OK)
		dlclose(lib.handle);
	return rc;
}

static int kbit(int bits) { return bits > 1000 ? bits / 1000 : 1; }

static void set_rate(x264_param_t *p, int bps, int vbv_bits)
{
	p->rc.i_vbv_max_bitrate = kbit(bps);
	p->rc.i_vbv_buffer_size = kbit(vbv_bits);
}

// settings are those of the page "Picture and sound" of the design: measured on
// real games, they beat the stock presets in time at the same quality.
static int settings(const api *lib, const cr_config *c, x264_param_t *p)
{
	if (lib->default_preset(p, "ultrafast", "zerolatency") < 0)
		return -1;
	p->i_log_level = X264_LOG_NONE;
	p->i_threads = 1;
	p->i_lookahead_threads = 1;
	p->b_sliced_threads = 0;
	p->i_width = c->width;
	p->i_height = c->height;
	p->i_csp = X264_CSP_I420;
	p->b_vfr_input = 0;
	p->i_fps_den = 10000;
	p->i_fps_num = (uint32_t)(c->fps * p->i_fps_den + 0.5);

	p->i_frame_reference = 1;
	p->i_keyint_max = X264_KEYINT_MAX_INFINITE;
	p->i_scenecut_threshold = 0;
	p->i_bframe = 0;
	p->b_deblocking_filter = 0;
	p->b_repeat_headers = 1;
	p->b_annexb = 1;
	p->b_aud = 0;

	p->b_cabac = c->profile > 0;
	p->analyse.inter = X264_ANALYSE_I4x4 | X264_ANALYSE_PSUB16x16;
	p->analyse.intra = X264_ANALYSE_I4x4;
	p->analyse.b_transform_8x8 = c->profile > 1;
	p->analyse.i_me_method = X264_ME_DIA;
	p->analyse.i_subpel_refine = 0;
	p->analyse.i_weighted_pred = X264_WEIGHTP_NONE;

	p->rc.i_rc_method = X264_RC_CRF;
	p->rc.f_rf_constant = (float)c->crf;
	p->rc.i_aq_mode = X264_AQ_NONE;
	p->rc.b_mb_tree = 0;
	p->rc.i_lookahead = 0;
	set_rate(p, c->max_bitrate, c->vbv_bits);

	// The pictures are sRGB through the matrix of BT.601, limited range (H.264 annex E).
	p->vui.b_fullrange = 0;
	p->vui.i_colorprim = 1;
	p->vui.i_transfer = 13;
	p->vui.i_colmatrix = 6;

	static const char *const profiles[] = {"baseline", "main", "high"};
	return lib->apply_profile(p, profiles[c->profile]);
}

static int encode(cr_encoder *base, const cr_picture *pic, int key, cr_output *out)
{
	encoder *e = (encoder *)base;
	x264_picture_t in, result;
	e->lib.picture_init(&in);
	in.i_type = key ? X264_TYPE_IDR : X264_TYPE_AUTO;
	in.i_pts = e->pts++;
	in.img.i_csp = X264_CSP_I420;
	in.img.i_plane = 3;
	for (int i = 0; i < 3; i++) {
		in.img.plane[i] = (uint8_t *)pic->plane[i];
		in.img.i_stride[i] = pic->stride[i];
	}
	x264_nal_t *nal = NULL;
	int count = 0;
	int size = e->lib.encode(e->x, &nal, &count, &in, &result);
	if (size < 0)
		return CR_FAILED;
	if (size == 0 || count == 0)
		return CR_DELAYED;
	if (size > e->max_output)
		return CR_TOO_LARGE;

	// The payloads lie one after the other. The SEI in which x264 names itself is
	// of no use to a player: what follows moves over it.
	uint8_t *start = nal[0].p_payload, *end = start;
	for (int i = 0; i < count; i++) {
		if (nal[i].i_type == NAL_SEI)
			continue;
		if (end != nal[i].p_payload)
			memmove(end, nal[i].p_payload, nal[i].i_payload);
		end += nal[i].i_payload;
	}
	out->data = start;
	out->size = (int)(end - start);
	out->key = result.b_keyframe;
	return CR_OK;
}

static int set_max_bitrate(cr_encoder *base, int bps, int vbv_bits)
{
	encoder *e = (encoder *)base;
	x264_param_t p;
	e->lib.parameters(e->x, &p);
	set_rate(&p, bps, vbv_bits);
	return e->lib.reconfig(e->x, &p) < 0 ? CR_REFUSED : CR_OK;
}

static void close_encoder(cr_encoder *base)
{
	encoder *e = (encoder *)base;
	if (e->x)
		e->lib.close(e->x);
	dlclose(e->lib.handle);
	free(e);
}

int cr_x264_open(const cr_config *c, cr_encoder **out, char *reason)
{
	encoder *e = calloc(1, sizeof *e);
	if (!e) {
		snprintf(reason, CR_REASON_SIZE, "no memory");
		return CR_FAILED;
	}
	int rc = load(&e->lib, reason);
	if (rc != CR_OK) {
		free(e);
		return rc;
	}
	e->base = (cr_encoder){encode, set_max_bitrate, close_encoder};
	e->max_output = cr_max_output(c->width, c->height);
	x264_param_t p;
	if (settings(&e->lib, c, &p) < 0 || !(e->x = e->lib.open(&p))) {
		snprintf(reason, CR_REASON_SIZE, "x264 refused the settings");
		close_encoder(&e->base);
		return CR_REFUSED;
	}
	*out = &e->base;
	return CR_OK;
}
