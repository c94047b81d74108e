// The messages of a view in their order: numbered deltas, and a snapshot of everything where one is missing.

// What becomes of a message, given the stream and the number that were shown last ('' and -1 before any).
function fateOf(message, streamId, lastSeq) {
  const isNew = message.stream !== streamId;
  if (!message.snapshot && (isNew ? message.seq !== 0 : message.seq > lastSeq + 1)) return 'ask';
  if (!isNew && (message.snapshot ? message.seq < lastSeq : message.seq <= lastSeq)) return 'ignore';
  return isNew && streamId !== '' ? 'begin' : 'show';
}

// A component's messages. on: { show(message), alert(text), begin() }; begin comes before the first message of another stream.
export function followStream({ props, server, watch }, on) {
  let streamId = '';
  let lastSeq = -1;
  let isAsking = false;

  function apply(message) {
    if (message.alert !== undefined) on.alert(message.alert);
    if (message.seq === undefined) return;
    const fate = fateOf(message, streamId, lastSeq);
    if (fate === 'ask') return askSnapshot(message.stream);
    if (fate === 'ignore') return;
    if (fate === 'begin') on.begin();
    streamId = message.stream;
    lastSeq = message.seq;
    on.show(message);
  }

  async function askSnapshot(wanted) {
    if (isAsking) return;
    isAsking = true;
    try {
      const text = await server.snapshot(wanted);
      if (text) apply(JSON.parse(text));
    } finally {
      isAsking = false;
    }
  }

  function receive() {
    if (typeof props.value === 'string' && props.value) apply(JSON.parse(props.value));
  }

  watch('value', receive);
  receive();
  return { apply };
}
