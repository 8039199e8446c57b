// A Worker that says "now" every so many milliseconds (ticker.js). Not a module.
'use strict';

self.onmessage = (event) => setInterval(() => self.postMessage(0), event.data);
