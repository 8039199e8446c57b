// Runs before the page's own code: watches every RTCPeerConnection and the video element.
(() => {
  const probe = { pcs: [], frames: [], channels: {}, started: performance.now() };
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    // One without input carries no game: it only asks whether relays answer.
    createDataChannel(label, init) {
      if (label === 'input') { probe.pcs.push(this); follow(this); }
      return (probe.channels[label] = super.createDataChannel(label, init));
    }
  };
  window.probe = probe;

  // follow notes what becomes of a connection, in milliseconds of the page.
  const log = [];
  const follow = (pc) => {
    const n = probe.pcs.length;
    const note = (...what) => { if (log.length < 200) log.push([Math.round(performance.now()), `connection ${n}`, ...what].join(' ')); };
    pc.addEventListener('icecandidate', ({ candidate: c }) => c?.candidate && note('has', c.candidate, c.url ?? ''));
    pc.addEventListener('icecandidateerror', (e) => note('fails at', e.url, e.errorCode, e.errorText));
    for (const type of ['iceconnectionstatechange', 'icegatheringstatechange']) {
      pc.addEventListener(type, () => note(type.replace('statechange', ':'), type.startsWith('icec') ? pc.iceConnectionState : pc.iceGatheringState));
    }
  };
  // ways says what ICE did in every connection, and which pairs there are in the last, line by line.
  probe.ways = async () => {
    const stats = await probe.pc?.getStats(), end = (c) => `${c?.candidateType} ${c?.relayProtocol ?? ''} ${c?.address}:${c?.port} ${c?.url ?? ''}`;
    const pairs = [...(stats?.values() ?? [])].filter((s) => s.type === 'candidate-pair').map((s) =>
      `pair ${s.state}: ${end(stats.get(s.localCandidateId))} - ${end(stats.get(s.remoteCandidateId))}, asked ${s.requestsSent}, answered ${s.responsesReceived}`);
    return [...log, ...pairs].join('\n');
  };
  Object.defineProperty(probe, 'pc', { get: () => probe.pcs.at(-1) });

  const canvas = () => {
    const c = document.createElement('canvas');
    c.width = 16; c.height = 15;
    return c.getContext('2d', { willReadFrequently: true });
  };
  let small;
  // luma returns the 240 mean brightness values of the picture, 0..255.
  probe.luma = () => {
    small ??= canvas();
    small.drawImage(probe.video, 0, 0, 16, 15);
    const d = small.getImageData(0, 0, 16, 15).data, out = [];
    for (let i = 0; i < d.length; i += 4) out.push(Math.round(0.299 * d[i] + 0.587 * d[i + 1] + 0.114 * d[i + 2]));
    return out;
  };
  probe.mean = () => { const l = probe.luma(); return l.reduce((a, b) => a + b, 0) / l.length; };
  // difference is the mean absolute difference of two luma lists.
  probe.difference = (a, b) => a.reduce((s, v, i) => s + Math.abs(v - b[i]), 0) / a.length;

  const watch = (video) => {
    probe.video = video;
    const step = (now, meta) => {
      if (meta.rtpTimestamp === undefined) return video.requestVideoFrameCallback(step); // an empty picture, no frame of a game
      probe.frames.push({ now, presented: meta.presentedFrames, rtp: meta.rtpTimestamp, w: meta.width, h: meta.height });
      if (probe.frames.length > 20000) probe.frames.splice(0, 10000);
      for (const f of [...(probe.listeners ?? [])]) f(now, meta);
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  };
  const find = () => {
    const v = document.querySelector('video');
    if (v) watch(v); else setTimeout(find, 5);
  };
  document.addEventListener('DOMContentLoaded', find);

  // counters reads the inbound statistics of picture and sound.
  probe.counters = async () => {
    const out = { at: performance.timeOrigin + performance.now() }; // statistics of a moment ago may know of no stream
    for (const s of (await probe.pc.getStats()).values()) {
      if (s.type === 'inbound-rtp' && s.kind === 'video') {
        out.at = s.timestamp;
        Object.assign(out, { decoded: s.framesDecoded, dropped: s.framesDropped, received: s.framesReceived, freezes: s.freezeCount, lost: s.packetsLost,
          width: s.frameWidth, height: s.frameHeight, plis: s.pliCount, keys: s.keyFramesDecoded, jitterDelay: s.jitterBufferDelay, jitterCount: s.jitterBufferEmittedCount,
          decodeTime: s.totalDecodeTime, processing: s.totalProcessingDelay });
      }
      if (s.type === 'inbound-rtp' && s.kind === 'audio') {
        Object.assign(out, { audio: s.packetsReceived, concealed: s.concealedSamples, samples: s.totalSamplesReceived,
          audioJitterDelay: s.jitterBufferDelay, audioJitterCount: s.jitterBufferEmittedCount });
      }
    }
    return out;
  };
  // pair is the selected candidate pair.
  probe.pair = async () => {
    const stats = await probe.pc.getStats();
    for (const s of stats.values()) {
      if (s.type !== 'transport' || !s.selectedCandidatePairId) continue;
      const pair = stats.get(s.selectedCandidatePairId);
      const local = stats.get(pair.localCandidateId), remote = stats.get(pair.remoteCandidateId);
      return { local: local.candidateType, relay: local.relayProtocol ?? '', url: local.url ?? '', remote: remote.candidateType, address: remote.address ?? '', port: remote.port };
    }
    return null;
  };
  // press measures from a keydown in the page to the first frame for which changed() holds, in ms; then releases and waits for the way back.
  probe.press = (code, changed, timeout = 2000) => new Promise((resolve, reject) => {
    const fail = setTimeout(() => { done(); reject(new Error('the picture did not change')); }, timeout);
    const event = (type) => window.dispatchEvent(new KeyboardEvent(type, { code, key: code, bubbles: true, cancelable: true }));
    let latency = null;
    const onFrame = (now) => {
      const is = changed();
      if (latency === null && is) { latency = now - t0; event('keyup'); } else if (latency !== null && !is) { done(); resolve(latency); }
    };
    const done = () => { clearTimeout(fail); probe.listeners = probe.listeners.filter((f) => f !== onFrame); };
    probe.listeners = [...(probe.listeners ?? []), onFrame];
    const t0 = performance.now();
    event('keydown');
  });
})();
