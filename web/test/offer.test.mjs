import assert from 'node:assert/strict';
import test from 'node:test';
import { roundTrips } from '../app/peer.js';

const offer = ['m=video 9 UDP/TLS/RTP/SAVPF 96 97', 'a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 nack', 'a=rtcp-fb:96 nack pli', 'a=rtpmap:97 rtx/90000', ''].join('\r\n');

test('the round trip is asked for with each codec that has NACKs, once', () => {
  const wish = roundTrips(offer);
  assert.equal(wish, offer.replace('96 nack\r\n', '96 nack\r\na=rtcp-fb:96 rrtr\r\n'));
  assert.equal(roundTrips(wish), wish);
  assert.equal(roundTrips('v=0\r\n'), 'v=0\r\n');
});
