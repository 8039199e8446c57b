// Connects to the loop that this page was loaded from, and has a worker look at
// every picture that it is shown.
(() => {
  const watch = { errors: [], pc: new RTCPeerConnection() };
  window.loop = watch;
  const failed = (e) => watch.errors.push(String(e?.message ?? e));
  const worker = new Worker('loop_worker.js');
  const waiting = [];
  worker.onmessage = ({ data }) => (data.error ? failed(data.error) : waiting.shift()(data));
  worker.onerror = failed;

  // counts is what the worker saw, and what the browser says of the stream.
  watch.counts = async () => {
    const seen = await new Promise((resolve) => { waiting.push(resolve); worker.postMessage({ counts: true }); });
    const out = { ...seen, errors: watch.errors };
    for (const s of (await watch.pc.getStats()).values()) {
      if (s.type !== 'inbound-rtp' || s.kind !== 'video') continue;
      Object.assign(out, {
        packets: s.packetsReceived, lost: s.packetsLost, nacks: s.nackCount, plis: s.pliCount, firs: s.firCount,
        retransmitted: s.retransmittedPacketsReceived ?? 0, decoded: s.framesDecoded, dropped: s.framesDropped,
        keys: s.keyFramesDecoded, freezes: s.freezeCount, frozen: s.totalFreezesDuration * 1000,
        decoder: s.decoderImplementation ?? '', delay: 1000 * s.jitterBufferDelay / s.jitterBufferEmittedCount,
      });
    }
    return out;
  };

  const connect = async () => {
    const { mime, rtx, ...recording } = await (await fetch('recording')).json();
    const receiver = watch.pc.addTransceiver('video', { direction: 'recvonly' });
    const wanted = (c) => c.mimeType.toLowerCase() === mime.toLowerCase() || (rtx && c.mimeType === 'video/rtx');
    receiver.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter(wanted));
    receiver.receiver.jitterBufferTarget = 0; // as the page of the product does
    watch.pc.createDataChannel('input', { negotiated: true, id: 0 });
    watch.pc.ontrack = ({ track }) => {
      const { readable } = new MediaStreamTrackProcessor({ track, maxBufferSize: 60 });
      worker.postMessage({ readable, ...recording }, [readable]);
    };
    const offer = await watch.pc.createOffer();
    offer.sdp = offer.sdp.replace(/^a=rtcp-fb:(\d+) nack(\r?\n)/gm, '$&a=rtcp-fb:$1 rrtr$2');
    await watch.pc.setLocalDescription(offer);
    const response = await fetch('offer', { method: 'POST', body: watch.pc.localDescription.sdp });
    const sdp = await response.text();
    if (!response.ok) throw new Error(sdp);
    await watch.pc.setRemoteDescription({ type: 'answer', sdp });
  };
  connect().catch(failed);
})();
