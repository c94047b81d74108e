// Where this page is shown in a frame of another site, as a Space of the Hub is, only that site's address is seen, kept and
// copied: it is told our place, and gives it back when it loads the frame again. A place is no secret. What is being typed
// may be one: of the settings only the Hub is told.

import { isSetting, place } from './address.js';

const HUB = 'https://huggingface.co';

function framedBy() { return (window.location.ancestorOrigins || [])[0] || (document.referrer ? new URL(document.referrer).origin : ''); }

export function tellFrame() {
  if (window.parent === window) return;
  const isHub = framedBy() === HUB;
  const told = Object.entries(place()).filter(([key]) => isHub || !isSetting(key));
  window.parent.postMessage({ queryString: String(new URLSearchParams(told)), hash: window.location.hash }, isHub ? HUB : '*');
}

// Whenever our place has changed, from now on.
export function keepFrameTold() {
  window.addEventListener('sv-place', tellFrame);
  window.addEventListener('popstate', tellFrame);
}
