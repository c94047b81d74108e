// Tells the server where the address points, after `goto` and after Back and Forward; shows its sentence where that is nowhere.

const notice = make('p', 'sv-alert sv-notice');
notice.setAttribute('role', 'alert');
element.appendChild(notice);

function arrive() { trigger('go', { query: window.location.search }); }

function showNotice() {
  notice.textContent = props.value || '';
  notice.hidden = !props.value;
}

window.addEventListener('sv-go', arrive);
window.addEventListener('popstate', arrive);
watch('value', showNotice);
showNotice();
