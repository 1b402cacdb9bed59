// What is wrong with the page for who reads it on a phone: text with a contrast below
// 4.5 (WCAG AA), things to press that are lower than 44 pixels, and anything wider
// than the screen. The value is a list of complaints.
(async () => {
  if (document.readyState !== "complete") await new Promise((loaded) => addEventListener("load", loaded, { once: true }));
  const complaints = [];
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if ((channels(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const name = (element) => `${element.tagName.toLowerCase()} "${element.textContent.trim().slice(0, 30)}"`;
  const shown = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 1;

  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!own || !shown(element)) continue;
    const value = contrast(getComputedStyle(element).color, ground(element));
    if (value < 4.5) complaints.push(`${name(element)} has a contrast of ${value.toFixed(2)}`);
  }
  for (const element of document.querySelectorAll("button, a, summary")) {
    if (!shown(element) || element.matches(".skip")) continue;
    const { height } = element.getBoundingClientRect();
    if (height < 44) complaints.push(`${name(element)} is only ${height.toFixed(0)} pixels high`);
  }
  const { scrollWidth } = document.documentElement;
  if (scrollWidth > innerWidth) complaints.push(`the page is ${scrollWidth} pixels wide on a screen of ${innerWidth}`);
  return complaints;
})()
