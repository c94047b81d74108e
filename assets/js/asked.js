// What a run was given: its conversation, settings beside the figures, and the tokens that the model read. Asked for when opened.

import { add, empty, make, shown } from './dom.js';
import { makeTokenList } from './tokenlist.js';

export function makeAsked(ask) {
  const fold = Object.assign(make('details', 'sv-group sv-asked'), { hidden: true });
  const body = make('div', 'sv-asked-body');
  let run = '', isLoaded = false;

  function message(role, content) {
    const item = make('div', 'sv-message is-' + role), text = make('p', 'sv-message-text', shown(content));
    text.dir = 'auto';
    return add(item, make('p', 'sv-field-label', { system: 'System prompt', user: 'You', assistant: 'Model' }[role] || shown(role)), text);
  }

  function draw(told) {
    if (told.alert) { body.replaceChildren(make('p', 'sv-soft', shown(told.alert))); return; }
    const settings = make('p', 'sv-asked-settings', told.settings.map(shown).join(' · '));
    body.replaceChildren(...told.messages.map((one) => message(one.role, one.content)), settings,
      make('p', 'sv-field-label', told.ids.length + (told.ids.length === 1 ? ' token' : ' tokens') + ' as the model read them'), makeTokenList(told.ids, told.texts));
    if (!told.texts) add(body, make('p', 'sv-soft', 'Their texts are shown while this model is loaded.'));
  }

  async function load() {
    if (!fold.open || isLoaded || !run) return;
    const mine = run;
    isLoaded = true;
    body.replaceChildren(make('p', 'sv-soft', 'Reading …'));
    const answer = await ask(mine).catch(() => '{"alert": "The server does not answer; please try again."}');
    if (mine === run) draw(JSON.parse(answer));
  }

  fold.addEventListener('toggle', load);
  add(fold, make('summary', '', 'What the model was given'), body);
  return {
    node: fold,
    // Of another run; none where there is nobody to ask.
    show(next) {
      if (next === run) return;
      run = next;
      isLoaded = false;
      fold.hidden = !run;
      empty(body);
      load();
    },
  };
}
