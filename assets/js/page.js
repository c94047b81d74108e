// The light/dark switch of the whole page; runs once when the page has loaded.
() => {
  const THEME_KEY = 'specviz-theme';

  // What the visitor chose last, in any tab; nothing where the browser keeps nothing for us.
  function keptTheme() {
    try { return localStorage.getItem(THEME_KEY); } catch (error) { return null; }
  }

  function keepTheme(name) {
    try { localStorage.setItem(THEME_KEY, name); } catch (error) { /* it lasts as long as the page */ }
  }

  // A choice outlives the address and the system; without one both decide, through Gradio.
  function applyTheme() {
    const kept = keptTheme();
    if (kept) document.body.classList.toggle('dark', kept === 'dark');
  }

  function switchTheme() { keepTheme(document.body.classList.toggle('dark') ? 'dark' : 'light'); }

  document.addEventListener('click', (event) => {
    if (event.target instanceof Element && event.target.closest('#theme-switch')) switchTheme();
  });
  window.addEventListener('storage', (event) => { if (event.key === THEME_KEY) applyTheme(); });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', applyTheme);
  applyTheme();
}
