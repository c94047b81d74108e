// Above a saved run: its settings again, in the Playground.

const againBar = make('p', 'sv-again');
add(againBar, makeButton('sv-button', 'Run again', () => runAgain(stage.dataset.session)), makeButton('sv-button', 'Open in Playground', () => openSettings(stage.dataset.session)));
againBar.hidden = true;
status.after(againBar);
watch('value', () => { againBar.hidden = !stage.dataset.session; });
againBar.hidden = !stage.dataset.session;
