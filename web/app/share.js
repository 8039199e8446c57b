// Giving a link away, by whatever this browser allows.

/**
 * @param {string} link
 * @param {string} title
 * @param {boolean} sheet prefer the system's own sheet (phones)
 * @returns {Promise<'shared' | 'copied' | 'impossible'>}
 */
export async function share(link, title, sheet) {
  if (sheet && navigator.share) {
    try {
      await navigator.share({ title: `${title} · CloudRetro`, url: link });
      return 'shared';
    } catch (error) {
      if (error.name === 'AbortError') return 'shared'; // changed their mind
    }
  }
  try {
    await navigator.clipboard.writeText(link);
    return 'copied';
  } catch {
    return copyByHand(link) ? 'copied' : 'impossible';
  }
}

// The clipboard of a page without HTTPS.
function copyByHand(text) {
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  document.body.append(area);
  area.select();
  try {
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    area.remove();
  }
}
