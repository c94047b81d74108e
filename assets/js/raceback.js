// A page that is loaded anew in the middle of a race goes on with it; one on which there is nothing shows the recorded race.

const firstSight = new IntersectionObserver(([found]) => {
  if (!found.isIntersecting) return;
  firstSight.disconnect();
  if (!lanes.length) trigger('join', { ...whoIs(), ids: place().ids || '' });
});
firstSight.observe(race);
