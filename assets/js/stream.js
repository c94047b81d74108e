// The messages of a view in their order: numbered deltas, and a snapshot of everything where one is missing.

// on: { show(message), alert(text), begin() }; begin comes before the first message of another stream.
function followStream(on) {
  let streamId = '';
  let lastSeq = -1;
  let isAsking = false;

  function apply(message) {
    if (message.alert !== undefined) on.alert(message.alert);
    if (message.seq === undefined) return;
    const isNew = message.stream !== streamId;
    const isGap = !message.snapshot && (isNew ? message.seq !== 0 : message.seq > lastSeq + 1);
    if (isGap) return askSnapshot(message.stream);
    if (!isNew && (message.snapshot ? message.seq < lastSeq : message.seq <= lastSeq)) return;
    if (isNew && streamId !== '') on.begin();
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
