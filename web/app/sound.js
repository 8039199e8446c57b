// The sound: an <audio> of its own, so that the picture never waits for it.

export class Sound {
  #audio;
  #settings;
  #onChange;
  #blocked = false;
  #abort = new AbortController();

  /**
   * @param {HTMLAudioElement} audio
   * @param {import('./settings.js').Settings} settings
   * @param {() => void} onChange volume, mute or `blocked` changed
   */
  constructor(audio, settings, onChange) {
    this.#audio = audio;
    this.#settings = settings;
    this.#onChange = onChange;
    this.#apply();
  }

  /** The browser wants a key or a tap first. */
  get blocked() {
    return this.#blocked;
  }

  get muted() {
    return this.#settings.get('muted');
  }

  get volume() {
    return this.#settings.get('volume');
  }

  attach(track) {
    this.#audio.srcObject = new MediaStream([track]);
    this.#play();
  }

  setVolume(volume) {
    this.#settings.set('volume', volume);
    if (volume > 0) this.#settings.set('muted', false);
    this.#apply();
  }

  setMuted(muted) {
    this.#settings.set('muted', muted);
    this.#apply();
  }

  close() {
    this.#abort.abort();
    this.#audio.srcObject = null;
  }

  #apply() {
    // Loudness is felt as a power of the amplitude: the square is close enough.
    this.#audio.volume = this.volume ** 2;
    this.#audio.muted = this.muted;
    this.#onChange();
  }

  async #play() {
    try {
      await this.#audio.play();
      this.#block(false);
    } catch (error) {
      if (error.name === 'NotAllowedError') this.#block(true);
    }
  }

  #block(blocked) {
    if (this.#blocked === blocked) return;
    this.#blocked = blocked;
    this.#abort.abort();
    this.#abort = new AbortController();
    if (blocked) {
      const options = { signal: this.#abort.signal, capture: true };
      for (const type of ['pointerup', 'keydown']) window.addEventListener(type, () => this.#play(), options);
    }
    this.#onChange();
  }
}

/** Two short notes for who does not look; silent where the browser wants a touch first. */
export function chime() {
  if (!navigator.userActivation?.hasBeenActive || !window.AudioContext) return;
  const context = new AudioContext();
  const gain = new GainNode(context, { gain: 0.08 });
  gain.connect(context.destination);
  for (const [i, frequency] of [660, 880].entries()) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(gain);
    tone.start(context.currentTime + i * 0.15);
    tone.stop(context.currentTime + i * 0.15 + 0.12);
    if (i === 1) tone.onended = () => context.close();
  }
}
