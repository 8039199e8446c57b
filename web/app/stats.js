// Statistics of the connection in figures for people. Pure.

const sum = (now, before, name) => (now?.[name] ?? 0) - (before?.[name] ?? 0);

/** Mean delay of the jitter buffer since the last report, in ms. */
function buffered(now, before) {
  const emitted = sum(now, before, 'jitterBufferEmittedCount');
  return emitted > 0 ? (1000 * sum(now, before, 'jitterBufferDelay')) / emitted : null;
}

const rate = (now, before, name, seconds) => (seconds > 0 ? sum(now, before, name) / seconds : null);

/** Picks what matters out of an RTCStatsReport (a Map). */
export function pick(report) {
  const all = [...report.values()];
  const inbound = (kind) => all.find((r) => r.type === 'inbound-rtp' && r.kind === kind);
  const transport = all.find((r) => r.type === 'transport' && r.selectedCandidatePairId);
  const pair = transport
    ? report.get(transport.selectedCandidatePairId)
    : all.find((r) => r.type === 'candidate-pair' && r.nominated && r.state === 'succeeded');
  const video = inbound('video');
  return {
    video,
    audio: inbound('audio'),
    pair,
    local: report.get(pair?.localCandidateId),
    remote: report.get(pair?.remoteCandidateId),
    codec: report.get(video?.codecId),
    transport,
  };
}

/**
 * Figures between two picks. What is unknown is null.
 * @param {ReturnType<pick>} now
 * @param {ReturnType<pick> | null} before
 */
export function summarise(now, before) {
  const seconds = before?.video && now.video ? (now.video.timestamp - before.video.timestamp) / 1000 : 0;
  const since = before ?? {};
  const bits = (kind) => {
    const bytes = rate(now[kind], since[kind], 'bytesReceived', seconds);
    return bytes === null ? null : bytes * 8;
  };
  return {
    fps: rate(now.video, since.video, 'framesDecoded', seconds),
    decoded: now.video?.framesDecoded ?? null,
    dropped: now.video?.framesDropped ?? null,
    freezes: now.video?.freezeCount ?? null,
    videoBitrate: bits('video'),
    audioBitrate: bits('audio'),
    videoBuffer: buffered(now.video, since.video),
    audioBuffer: buffered(now.audio, since.audio),
    videoLost: now.video?.packetsLost ?? null,
    audioLost: now.audio?.packetsLost ?? null,
    concealed: now.audio?.concealedSamples ?? null,
    decodeTime: perFrame(now.video, since.video),
    rtt: now.pair?.currentRoundTripTime === undefined ? null : now.pair.currentRoundTripTime * 1000,
    width: now.video?.frameWidth ?? null,
    height: now.video?.frameHeight ?? null,
    codec: codecName(now.codec),
    decoder: now.video?.decoderImplementation ?? null,
    path: pathName(now.local, now.remote),
  };
}

function perFrame(now, before) {
  const frames = sum(now, before, 'framesDecoded');
  return frames > 0 ? (1000 * sum(now, before, 'totalDecodeTime')) / frames : null;
}

function codecName(codec) {
  if (!codec) return null;
  const name = codec.mimeType.replace(/^video\//, '');
  const profile = /profile-level-id=([0-9a-f]{6})/i.exec(codec.sdpFmtpLine ?? '');
  return profile ? `${name} ${profile[1]}` : name;
}

/** 'direct' or 'relay', with how: 'direct · udp', 'relay · udp over tcp'. */
export function pathName(local, remote) {
  if (!local) return null;
  const relayed = local.candidateType === 'relay' || remote?.candidateType === 'relay';
  const over = local.relayProtocol && local.relayProtocol !== local.protocol ? ` over ${local.relayProtocol}` : '';
  return `${relayed ? 'relay' : 'direct'} · ${local.protocol}${over}`;
}

const dash = '–';
const fixed = (v, digits, unit) => (v === null || Number.isNaN(v) ? dash : `${v.toFixed(digits)} ${unit}`.trim());

/** A bitrate for people. */
export function bitrate(bps) {
  if (bps === null) return dash;
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(2)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

/** Rows [label, value] of the overlay. */
export function rows(f, { ping = null, target = null } = {}) {
  return [
    ['picture', f.width ? `${f.width}×${f.height}` : dash],
    ['frames', fixed(f.fps, 1, target ? `of ${target.toFixed(2)} fps` : 'fps')],
    ['dropped', String(f.dropped ?? dash)],
    ['freezes', String(f.freezes ?? dash)],
    ['decode', fixed(f.decodeTime, 2, 'ms')],
    ['codec', f.codec ?? dash],
    ['video', bitrate(f.videoBitrate)],
    ['sound', bitrate(f.audioBitrate)],
    ['buffer', `${fixed(f.videoBuffer, 0, '')} / ${fixed(f.audioBuffer, 0, 'ms')}`],
    ['lost', `${f.videoLost ?? dash} / ${f.audioLost ?? dash}`],
    ['round trip', fixed(f.rtt, 1, 'ms')],
    ['ping', fixed(ping, 1, 'ms')],
    ['path', f.path ?? dash],
  ];
}
