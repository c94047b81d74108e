// Keys, the light/dark switch and the address of the whole page; runs once when the page has loaded.
() => {
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    const run = document.querySelector('#run');
    if (run && !run.disabled && run.offsetParent !== null) { event.preventDefault(); run.click(); }
  });
  document.addEventListener('click', (event) => {
    if (event.target instanceof Element && event.target.closest('#theme-switch')) document.body.classList.toggle('dark');
  });
}
