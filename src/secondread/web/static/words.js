// The sentences of the scripts in the language of the page; the English ones are their names.

const language = document.documentElement.lang;
const words = language === "en" ? {} : (await import(`/words/${language}.js`)).default;

/** What a refusal or error says: its own sentence where that is translated, else its code's, and the English one behind. */
export function told({ message, code }) {
  if (words[message] || language === "en") return t(message);
  const sentence = words[`code:${code}`];
  return sentence ? `${sentence} (${message})` : message;
}

/** The sentence in the page's language; "{name}" stands for values.name. */
export function t(sentence, values = {}) {
  return (words[sentence] ?? sentence).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
