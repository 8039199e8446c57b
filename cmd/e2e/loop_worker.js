// Hashes every picture of a track and finds it in the list of right ones.
const seen = {
  pictures: 0, // shown
  corrupted: 0, // not what any picture decodes to
  where: [], // [number, place in the recording] of the first of those
  skipped: 0, // not shown, though later ones of the same round were
  jumps: 0, // back to the first picture before the last one
  late: [], // [time, gap, stall]: more than 100 ms later than due; stall is how long this worker itself stood still
  longest: 0, // gap between two pictures
  first: 0, time: 0, // of the first and the last picture
  format: '',
};
const allowed = 100; // ms beyond the time between two pictures

// Stalls of the machine are told from those of the stream by a timer.
let beat = performance.now(), stall = 0;
setInterval(() => {
  const now = performance.now();
  stall = Math.max(stall, now - beat - 10);
  beat = now;
}, 10);

const hex = (digest) => Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, '0')).join('');

function timed(now, spacing) {
  const gap = now - seen.time;
  if (seen.pictures > 0) {
    seen.longest = Math.max(seen.longest, gap);
    if (gap > spacing + allowed) seen.late.push([now - seen.first, gap, Math.max(stall, now - beat - 10)]);
  } else {
    seen.first = now;
  }
  seen.time = now;
  stall = 0;
}

async function watch({ readable, sums, plain, rate }) {
  const order = new Map([[plain, 0], ...sums.map((sum, i) => [sum, i])]);
  const reader = readable.getReader();
  let bytes = new Uint8Array(0), last = -1;
  for (;;) {
    const { done, value: frame } = await reader.read();
    if (done) return;
    timed(performance.now(), 1000 / rate);
    seen.pictures++;
    seen.format = `${frame.format} ${frame.visibleRect.width}x${frame.visibleRect.height}`;
    if (bytes.length !== frame.allocationSize()) bytes = new Uint8Array(frame.allocationSize());
    await frame.copyTo(bytes);
    frame.close();
    const at = order.get(hex(await crypto.subtle.digest('SHA-256', bytes)));
    if (at === undefined) {
      last++; // it stands for that one
      if (seen.corrupted++ < 20) seen.where.push([seen.pictures, last]);
      continue;
    }
    if (seen.pictures > 1) {
      const due = (last + 1) % sums.length;
      if (at < due) seen.jumps++;
      seen.skipped += at >= due ? at - due : at;
    }
    last = at;
  }
}

self.onmessage = ({ data }) => {
  if (data.counts) return self.postMessage({ ...seen, sinceLast: performance.now() - seen.time });
  watch(data).catch((e) => self.postMessage({ error: String(e) }));
};
