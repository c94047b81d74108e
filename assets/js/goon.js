// The conversation goes on from an answer: a button below it, when the run has ended.

const goOn = makeButton('sv-button sv-go-on', 'Continue from this answer', () => trigger('go_on', { run: stage.dataset.session }));

function showGoOn() { goOn.hidden = stage.dataset.phase !== 'finished' || !stage.dataset.session; }

stage.querySelector('.sv-paper').after(goOn);
watch('value', showGoOn);
showGoOn();
