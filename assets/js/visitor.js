// A random token by which the server knows this browser again: who made a run may change it. Never shown, never in an address.

const VISITOR_KEY = 'specviz-visitor';

const TAB_KEY = 'specviz-tab';

function newToken() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// Where the browser keeps nothing for us, the token lasts as long as the page.
export function visitorToken() {
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
