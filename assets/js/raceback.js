// The stage of a race. A page that is loaded anew in the middle of one goes on with it; one on which there is nothing shows the
// recorded race.

import { place } from './address.js';
import mountRace from './race.js';
import { whoIs } from './visitor.js';

/** @param {import('./component').Component} component */
export default function mountRaceBack(component) {
const { trigger } = component;
const { race, isEmpty } = mountRace(component);
const firstSight = new IntersectionObserver(([found]) => {
  if (!found.isIntersecting) return;
  firstSight.disconnect();
  if (isEmpty()) trigger('join', { ...whoIs(), ids: place().ids || '' });
}, { rootMargin: '100000px' }); // wherever it is on the open view
firstSight.observe(race);
}
