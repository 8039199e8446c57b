// The PeerConnection: what flows between this page and a worker.

const CHANNELS = Object.freeze({
  input: { negotiated: true, id: 0, ordered: false, maxRetransmits: 0 },
  control: { negotiated: true, id: 1, ordered: true },
});
const MAX_INPUT_BACKLOG = 4096; // bytes; old input is worth nothing, so more is dropped

/** Asks for Opus in stereo: browsers receive mono unless their own description says so. */
export function stereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/im.exec(sdp);
  if (!opus) return sdp;
  const line = new RegExp(`^(a=fmtp:${opus[1]} (?!.*stereo=)[^\\r\\n]*)`, 'm');
  return sdp.replace(line, '$1;stereo=1');
}

/** Asks for round trips (RFC 3611): without, Chromium repeats NACKs late. */
export function roundTrips(sdp) {
  if (/^a=rtcp-fb:.* rrtr\r?$/m.test(sdp)) return sdp;
  return sdp.replace(/^a=rtcp-fb:(\d+) nack(\r?\n)/gm, '$&a=rtcp-fb:$1 rrtr$2');
}

/**
 * The newest picture now, not a smooth one later. For sound there is nothing to
 * win: 0 is what browsers do anyway, and more is only a floor (measured).
 */
export function noDelay(receiver) {
  for (const name of ['jitterBufferTarget', 'playoutDelayHint']) {
    try {
      if (name in receiver) receiver[name] = 0;
    } catch {
      // not settable in this browser
    }
  }
}

export class Peer {
  #pc;
  #on;
  #offer;
  #input;
  #control;
  #video;
  #audio;
  #relay;
  #make;
  #quick = false; // the browser knows a relay over UDP
  #local = null; // settles when the last offer is in force
  #early = []; // candidates that came before the answer
  #answered = false;

  /**
   * Makes the connection and, beforehand, its offer; nothing goes out before offer().
   * @param {object} options
   * @param {boolean} options.relay use relays only
   * @param {object} options.on
   *   state(connectionState), candidate(RTCIceCandidateInit), control(object),
   *   controlOpen(), controlClosed(), inputOpen()
   */
  constructor({ relay = false, on, make = (config) => new RTCPeerConnection(config) }) {
    this.#on = on;
    this.#relay = relay;
    this.#make = make;
    this.#pc = make(this.#config([]));
    this.#video = this.#pc.addTransceiver('video', { direction: 'recvonly' }).receiver;
    this.#audio = this.#pc.addTransceiver('audio', { direction: 'recvonly' }).receiver;
    noDelay(this.#video);
    this.#channels();
    this.#pc.onicecandidate = ({ candidate }) => {
      this.#quick ||= candidate?.relayProtocol === 'udp';
      on.candidate(candidate ? candidate.toJSON() : { candidate: '' });
    };
    this.#pc.onconnectionstatechange = () => on.state(this.#pc.connectionState);
    this.#offer = this.#pc.createOffer();
    this.#offer.catch(() => {}); // reported by offer()
  }

  /** The RTCPeerConnection, for statistics and tests. */
  get pc() {
    return this.#pc;
  }

  get videoTrack() {
    return this.#video.track;
  }

  get audioTrack() {
    return this.#audio.track;
  }

  /** Whether ICE has found a path; more may be needed until media flow. */
  get reached() {
    return ['connected', 'completed'].includes(this.#pc.iceConnectionState);
  }

  /** Changes while pictures or sound come in, seen or not; stays as it is where browsers do not tell. */
  get pulse() {
    return [this.#video, this.#audio].map((receiver) => receiver.getSynchronizationSources?.()[0]?.timestamp).join();
  }

  /**
   * The offer to send; gathering begins here. It need not be in force yet: that
   * takes Chromium 20 ms and more, in which the worker can already begin.
   * @returns {Promise<string>} SDP
   */
  async offer(iceServers) {
    this.configure(iceServers);
    const { sdp } = await this.#offer;
    return this.#describe(sdp);
  }

  /** A new offer over other paths. @returns {Promise<string>} SDP */
  async restart() {
    this.#answered = false;
    const { sdp } = await this.#pc.createOffer({ iceRestart: true });
    return this.#describe(sdp);
  }

  /** Takes a worker's answer, and the candidates that came before it. */
  async answer(sdp) {
    await this.#local;
    await this.#pc.setRemoteDescription({ type: 'answer', sdp });
    this.#answered = true;
    for (const candidate of this.#early.splice(0)) this.candidate(candidate);
  }

  /** Adds a candidate of the worker; a bad one is passed over. */
  candidate(candidate) {
    if (!candidate || !candidate.candidate) return;
    if (!this.#answered) return void this.#early.push(candidate);
    this.#pc.addIceCandidate(candidate).catch(() => {});
  }

  /** Uses these servers from the next gathering on. */
  configure(iceServers) {
    try {
      this.#pc.setConfiguration(this.#config(iceServers));
    } catch {
      this.#pc.setConfiguration(this.#config([])); // one unusable address must not stop a direct path
    }
  }

  /**
   * Whether the path is a relay over TCP or TLS, when all are known that there are;
   * with one over UDP among them browsers go over to that by themselves.
   */
  async detour(settled = false) {
    const pc = this.#pc;
    while (pc.iceGatheringState !== 'complete' && pc.connectionState !== 'closed') {
      await new Promise((done) => { pc.addEventListener('icegatheringstatechange', done, { once: true }); });
    }
    const { pick } = await import('./stats.js'); // not needed for the first picture
    const over = pick(await pc.getStats()).local?.relayProtocol;
    return ['tcp', 'tls'].includes(over) && (settled || !this.#quick);
  }

  /** Whether a relay of these answers: a connection of its own asks. */
  async reaches(iceServers) {
    const pc = this.#make({ iceServers, iceTransportPolicy: 'relay' });
    try {
      const found = new Promise((done) => {
        pc.onicecandidate = ({ candidate }) => (!candidate || candidate.candidate) && done(Boolean(candidate));
      });
      pc.createDataChannel('');
      await pc.setLocalDescription(await pc.createOffer());
      return await found;
    } catch {
      return false;
    } finally {
      pc.close();
    }
  }

  /** Sends a datagram of input, or drops it. */
  sendInput(bytes) {
    const channel = this.#input;
    if (channel.readyState !== 'open' || channel.bufferedAmount > MAX_INPUT_BACKLOG) return;
    try {
      channel.send(bytes);
    } catch {
      // closing
    }
  }

  /** @returns {boolean} whether it was sent */
  sendControl(message) {
    if (this.#control.readyState !== 'open') return false;
    this.#control.send(JSON.stringify(message));
    return true;
  }

  close() {
    this.#pc.onicecandidate = null;
    this.#pc.onconnectionstatechange = null;
    this.#control.onclose = null;
    this.#pc.close();
  }

  #config(iceServers) {
    return {
      iceServers: iceServers ?? [],
      iceTransportPolicy: this.#relay ? 'relay' : 'all',
      bundlePolicy: 'max-bundle',
    };
  }

  #channels() {
    this.#input = this.#pc.createDataChannel('input', CHANNELS.input);
    this.#control = this.#pc.createDataChannel('control', CHANNELS.control);
    this.#input.onopen = () => this.#on.inputOpen();
    this.#control.onopen = () => this.#on.controlOpen();
    this.#control.onclose = () => this.#on.controlClosed();
    this.#control.onmessage = ({ data }) => {
      try {
        const message = JSON.parse(data);
        if (message && typeof message.type === 'string') this.#on.control(message);
      } catch {
        // not ours
      }
    };
  }

  #describe(sdp) {
    this.#quick = false;
    const wish = roundTrips(stereo(sdp));
    this.#local = this.#pc.setLocalDescription({ type: 'offer', sdp: wish })
      .catch(() => this.#pc.setLocalDescription({ type: 'offer', sdp }));
    this.#local.catch(() => {}); // reported by answer()
    return wish;
  }
}
