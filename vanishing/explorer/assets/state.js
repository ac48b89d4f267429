/* What is looked at: kept in the address's fragment, so that a link shows the same view. */

export const MOST_COMPARED = 6; // colours that can be told apart
export const DASHES = ["none", "7 3", "2 3", "8 3 2 3", "12 4", "4 2"]; // of compared runs

/* Return a store. `fields` is {key: {initial, read(text), write(value)}}; read returns undefined
   for a text that it does not know, which then counts for nothing. */
export function createStore(fields) {
  const listeners = [];
  let state = parse(location.hash);

  function parse(fragment) {
    const texts = new URLSearchParams(fragment.slice(1));
    const parsed = {};
    for (const [key, field] of Object.entries(fields)) {
      const value = texts.has(key) ? field.read(texts.get(key)) : undefined;
      parsed[key] = value === undefined ? field.initial : value;
    }
    return parsed;
  }

  function write() {
    const texts = new URLSearchParams();
    for (const [key, field] of Object.entries(fields)) {
      const text = field.write(state[key]);
      if (text !== field.write(field.initial)) texts.set(key, text);
    }
    try {
      history.replaceState(null, "", `#${texts}`);
    } catch {
      // A notebook's frame has no address of its own.
    }
  }

  const tell = () => listeners.forEach((listener) => listener(state));
  window.addEventListener("hashchange", () => {
    state = parse(location.hash);
    tell();
  });
  return {
    get state() { return state; },
    set(changes) {
      state = { ...state, ...changes };
      write();
      tell();
    },
    follow(listener) {
      listeners.push(listener);
      listener(state);
    },
  };
}

export const choice = (initial, allowed) => ({
  initial,
  read: (text) => (allowed.includes(text) ? text : undefined),
  write: String,
});

export const number = (initial, low, high, whole = true) => ({
  initial,
  read(text) {
    const value = Number(text);
    const isValid = text.trim() !== "" && value >= low && value <= high;
    return isValid && (!whole || Number.isInteger(value)) ? value : undefined;
  },
  write: String,
});

export const choices = (initial, allowed) => ({
  initial,
  read(text) {
    const names = JSON.parse(safeList(text));
    return names.filter((name) => allowed.includes(name)).slice(0, MOST_COMPARED);
  },
  write: JSON.stringify,
});

function safeList(text) {
  try {
    return Array.isArray(JSON.parse(text)) ? text : "[]";
  } catch {
    return "[]";
  }
}
