// A random token by which the server knows this browser again: who made a run may change it. Never shown, never in an address.

const VISITOR_KEY = 'specviz-visitor';

const TAB_KEY = 'specviz-tab';

const MODERATOR_KEY = 'specviz-moderator';

function newToken() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// A moderator's browser adds the instance's own token; the server compares it.
export function visitorToken() {
  const moderator = moderatorToken();
  return browserToken() + (moderator ? '.' + moderator : '');
}

export function isModerator() { return moderatorToken() !== ''; }

// Kept until the tab is closed; an empty one is forgotten.
export function moderateWith(token) { sessionStorage.setItem(MODERATOR_KEY, token); }

function moderatorToken() {
  try {
    return sessionStorage.getItem(MODERATOR_KEY) || '';
  } catch (error) {
    return '';
  }
}

// Where the browser keeps nothing for us, the token lasts as long as the page.
function browserToken() {
  try {
    if (!localStorage.getItem(VISITOR_KEY)) localStorage.setItem(VISITOR_KEY, window.specvizVisitor || newToken());
    return localStorage.getItem(VISITOR_KEY);
  } catch (error) {
    window.specvizVisitor = window.specvizVisitor || newToken();
    return window.specvizVisitor;
  }
}

// Of this tab: a page that is loaded anew in it is known again, and so is what it was running.
export function tabToken() {
  try {
    if (!sessionStorage.getItem(TAB_KEY)) sessionStorage.setItem(TAB_KEY, newToken());
    return sessionStorage.getItem(TAB_KEY);
  } catch (error) {
    return '';
  }
}

export function whoIs() { return { visitor: visitorToken(), tab: tabToken() }; }
