// What an exported file has in place of Gradio and a server; comes before the components.

const runs = JSON.parse(document.getElementById('runs').textContent).runs;
const watchers = [];
const props = { value: '' };
const server = {};
function watch(name, listener) { watchers.push(listener); }
function trigger() {}
