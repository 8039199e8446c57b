// Keeps the screen on while a game is shown: who plays with a pad touches no key.

/** @returns {() => void} lets the screen sleep again */
export function stayAwake() {
  const abort = new AbortController();
  let lock = null;
  const take = async () => {
    if (document.hidden || abort.signal.aborted) return;
    try {
      lock = await navigator.wakeLock?.request('screen');
      if (abort.signal.aborted) lock?.release();
    } catch {
      // low battery, or not allowed
    }
  };
  document.addEventListener('visibilitychange', take, { signal: abort.signal }); // a hidden page loses it
  take();
  return () => {
    abort.abort();
    lock?.release().catch(() => {});
  };
}
