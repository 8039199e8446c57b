//go:build cgo && linux

#include "encoder.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wels/codec_api.h>
#include <wels/codec_ver.h>

typedef struct {
	void *handle;
	int (*create)(ISVCEncoder **);
	void (*destroy)(ISVCEncoder *);
	void (*version)(OpenH264Version *);
} api;

typedef struct {
	cr_encoder base;
	api lib;
	ISVCEncoder *x;
	cr_config config;
	int64_t frames;
	int max_output;
	uint8_t *output; // max_output bytes
} encoder;

// load fills lib. The number in the name does not follow from the header, and
// the structs change without it, so the version itself must match.
static int load(api *lib, char *reason)
{
	static const char *const names[] = {"libopenh264.so.8", "libopenh264.so.7", "libopenh264.so.6", "libopenh264.so.9"};
	snprintf(reason, CR_REASON_SIZE, "libopenh264 %d.%d is not there", OPENH264_MAJOR, OPENH264_MINOR);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		memset(lib, 0, sizeof *lib);
		lib->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		if (!lib->handle)
			continue;
		lib->create = (int (*)(ISVCEncoder **))dlsym(lib->handle, "WelsCreateSVCEncoder");
		lib->destroy = (void (*)(ISVCEncoder *))dlsym(lib->handle, "WelsDestroySVCEncoder");
		lib->version = (void (*)(OpenH264Version *))dlsym(lib->handle, "WelsGetCodecVersionEx");
		OpenH264Version v = {0};
		if (lib->create && lib->destroy && lib->version)
			lib->version(&v);
		if (v.uMajor == OPENH264_MAJOR && v.uMinor == OPENH264_MINOR)
			return CR_OK;
		snprintf(reason, CR_REASON_SIZE, "%s is version %u.%u, this binary was built for %d.%d",
			names[i], v.uMajor, v.uMinor, OPENH264_MAJOR, OPENH264_MINOR);
		dlclose(lib->handle);
	}
	return CR_UNAVAILABLE;
}

int cr_openh264_probe(char *reason)
{
	api lib;
	int rc = load(&lib, reason);
	if (rc == CR_OK)
		dlclose(lib.handle);
	return rc;
}

// settings are a constant quality under a ceiling as near as openh264 comes to
// it: the rate control aims at the ceiling, but may not go below the quantizer
// that stands for the CRF. The screen content mode would suit games by its name,
// but version 2.3 then overshoots the ceiling fourfold and makes key frames that
// nobody asked for.
static void settings(const cr_config *c, SEncParamExt *p)
{
	p->iUsageType = CAMERA_VIDEO_REAL_TIME;
	p->iPicWidth = c->width;
	p->iPicHeight = c->height;
	p->fMaxFrameRate = (float)c->fps;
	p->iTargetBitrate = c->max_bitrate;
	p->iMaxBitrate = c->max_bitrate;
	p->iRCMode = RC_BITRATE_MODE;
	p->iMinQp = (int)(c->crf + 0.5);
	p->iMaxQp = 51;
	p->bEnableFrameSkip = false;
	p->iTemporalLayerNum = 1;
	p->iSpatialLayerNum = 1;
	p->iComplexityMode = LOW_COMPLEXITY;
	p->uiIntraPeriod = 0;
	p->iNumRefFrame = 1;
	p->eSpsPpsIdStrategy = CONSTANT_ID;
	p->bPrefixNalAddingCtrl = false;
	p->bEnableSSEI = false;
	p->iEntropyCodingModeFlag = 0;
	p->bEnableLongTermReference = false;
	p->iMultipleThreadIdc = 1;
	p->iLoopFilterDisableIdc = 1;
	p->bEnableDenoise = false;
	p->bEnableBackgroundDetection = false;
	p->bEnableAdaptiveQuant = false;
	p->bEnableSceneChangeDetect = false; // it makes key frames nobody asked for
	p->bEnableFrameCroppingFlag = true;

	SSpatialLayerConfig *layer = &p->sSpatialLayers[0];
	layer->iVideoWidth = c->width;
	layer->iVideoHeight = c->height;
	layer->fFrameRate = (float)c->fps;
	layer->iSpatialBitrate = c->max_bitrate;
	layer->iMaxSpatialBitrate = c->max_bitrate;
	layer->uiProfileIdc = PRO_BASELINE;
	layer->uiLevelIdc = LEVEL_UNKNOWN;
	layer->sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
	// The pictures are sRGB through the matrix of BT.601, limited range (H.264 annex E).
	layer->bVideoSignalTypePresent = true;
	layer->uiVideoFormat = VF_UNDEF;
	layer->bFullRange = false;
	layer->bColorDescriptionPresent = true;
	layer->uiColorPrimaries = CP_BT709;
	layer->uiTransferCharacteristics = TRC_IEC61966_2_1;
	layer->uiColorMatrix = CM_SMPTE170M;
}

static int encode(cr_encoder *base, const cr_picture *pic, int key, cr_output *out)
{
	encoder *e = (encoder *)base;
	if (key)
		(*e->x)->ForceIntraFrame(e->x, true);
	SSourcePicture in = {0};
	in.iColorFormat = videoFormatI420;
	in.iPicWidth = e->config.width;
	in.iPicHeight = e->config.height;
	in.uiTimeStamp = (long long)((double)e->frames++ * 1000 / e->config.fps);
	for (int i = 0; i < 3; i++) {
		in.pData[i] = (unsigned char *)pic->plane[i];
		in.iStride[i] = pic->stride[i];
	}
	SFrameBSInfo info = {0};
	if ((*e->x)->EncodeFrame(e->x, &in, &info) != cmResultSuccess)
		return CR_FAILED;
	if (info.eFrameType == videoFrameTypeSkip || info.iLayerNum <= 0)
		return CR_DELAYED;

	int size = 0;
	for (int i = 0; i < info.iLayerNum; i++) {
		const SLayerBSInfo *layer = &info.sLayerInfo[i];
		int length = 0;
		for (int n = 0; n < layer->iNalCount; n++)
			length += layer->pNalLengthInByte[n];
		if (length > e->max_output - size)
			return CR_TOO_LARGE;
		memcpy(e->output + size, layer->pBsBuf, length);
		size += length;
	}
	out->data = e->output;
	out->size = size;
	out->key = info.eFrameType == videoFrameTypeIDR;
	return size > 0 ? CR_OK : CR_DELAYED;
}

static int set_max_bitrate(cr_encoder *base, int bps, int vbv_bits)
{
	encoder *e = (encoder *)base;
	(void)vbv_bits;
	// The ceiling must never lie below the target on the way. SPATIAL_LAYER_ALL would
	// leave the layer's own ceiling as it was.
	SBitrateInfo rate = {SPATIAL_LAYER_0, bps};
	ENCODER_OPTION first = ENCODER_OPTION_MAX_BITRATE, second = ENCODER_OPTION_BITRATE;
	if (bps < e->config.max_bitrate) {
		first = ENCODER_OPTION_BITRATE;
		second = ENCODER_OPTION_MAX_BITRATE;
	}
	if ((*e->x)->SetOption(e->x, first, &rate) != cmResultSuccess ||
		(*e->x)->SetOption(e->x, second, &rate) != cmResultSuccess)
		return CR_REFUSED;
	e->config.max_bitrate = bps;
	return CR_OK;
}

static void close_encoder(cr_encoder *base)
{
	encoder *e = (encoder *)base;
	if (e->x) {
		(*e->x)->Uninitialize(e->x);
		e->lib.destroy(e->x);
	}
	dlclose(e->lib.handle);
	free(e->output);
	free(e);
}

static int initialize(encoder *e)
{
	int level = WELS_LOG_QUIET;
	SEncParamExt p;
	if (e->lib.create(&e->x) != 0 || !e->x)
		return -1;
	(*e->x)->SetOption(e->x, ENCODER_OPTION_TRACE_LEVEL, &level);
	if ((*e->x)->GetDefaultParams(e->x, &p) != cmResultSuccess)
		return -1;
	settings(&e->config, &p);
	return (*e->x)->InitializeExt(e->x, &p) == cmResultSuccess ? 0 : -1;
}

int cr_openh264_open(const cr_config *c, cr_encoder **out, char *reason)
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
	e->config = *c;
	e->max_output = cr_max_output(c->width, c->height);
	e->output = malloc(e->max_output);
	if (!e->output || initialize(e) < 0) {
		snprintf(reason, CR_REASON_SIZE, "openh264 refused the settings");
		close_encoder(&e->base);
		return CR_REFUSED;
	}
	*out = &e->base;
	return CR_OK;
}
