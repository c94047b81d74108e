// What can run on the chosen model, on its way to the form that offers it. Draws nothing.

/** @param {import('./component').Component} component */
export default function mountCatalog(component) {
const { props, watch } = component;
watch('value', () => {
  if (props.value) window.dispatchEvent(new CustomEvent('sv-catalog', { detail: JSON.parse(props.value) }));
});
}
