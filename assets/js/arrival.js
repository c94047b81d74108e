// Tells the server where the address points: after `goto`, after Back and Forward, and when a tab is pressed. Shows the
// server's sentence where that is nowhere. A pressed tab leads to the last place there.

import { goto, place, withoutSettings } from './address.js';
import { make } from './dom.js';
import { keepFrameTold } from './frame.js';
import { whoIs } from './visitor.js';

/** @param {import('./component').Component} component */
export default function mountArrival(component) {
const { element, props, watch, trigger } = component;
const titles = JSON.parse(props.views);
const notice = make('p', 'sv-alert sv-notice');
const left = {};
notice.setAttribute('role', 'alert');
element.appendChild(notice);

function arrive() { trigger('greet', whoIs()); trigger('go', { query: window.location.search }); }

function showNotice() {
  notice.textContent = props.value || '';
  notice.hidden = !props.value;
}

function pressed(event) {
  const button = event.target instanceof Element ? event.target.closest('#views .tab-wrapper button') : null;
  const view = button && titles[button.textContent.trim()];
  if (!view) return;
  const here = { view: Object.values(titles)[0], ...place() };
  if (here.view === view) return;
  left[here.view] = withoutSettings(here);
  goto(left[view] || { view });
}

window.addEventListener('sv-go', arrive);
window.addEventListener('popstate', arrive);
document.addEventListener('click', pressed, true);
watch('value', showNotice);
keepFrameTold();
trigger('greet', whoIs());
showNotice();
}
