// The other pages: a device's map, copying, and figures that keep up to date.

function singleMap(root) {
  const d = root.dataset;
  const lat = +d.lat;
  const lon = +d.lon;
  const km = +d.km;
  const area = "area" in d;
  const chart = new Chart(root, {
    label: "Map of where the device is. Arrow keys move it, plus and minus zoom, 0 goes back.",
    homeLabel: "Back to the device",
    calm: true,
    home: (c) => c.around(lat, lon, area ? Math.max(km * 2.5, 60) : 120, 0),
  });
  if (area) chart.areas = [{ lat, lon, km, fill: true }];
  else chart.pin([lat, lon]);
  chart.options.home(chart);
}

function offerCopies() {
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      let done = "Copied";
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.classList.add("done");
      } catch {
        getSelection().selectAllChildren(source); // where scripts may not, the reader can
        done = "Selected";
      }
      button.textContent = done;
      button.setAttribute("aria-live", "polite");
      setTimeout(() => {
        button.textContent = "Copy";
        button.classList.remove("done");
      }, 1600);
    });
  }
}

// offerAddress writes the reader's address into the command that the owner is to run.
function offerAddress() {
  const field = document.getElementById("mine");
  const code = document.getElementById("c-grant");
  if (!field || !code) return;
  field.closest(".mine").hidden = false;
  const [before, after] = code.textContent.split(field.dataset.hole);
  field.addEventListener("input", () => {
    const text = field.value.trim();
    const good = /^[1-9A-HJ-NP-Za-km-z]{46,50}$/.test(text);
    field.setAttribute("aria-invalid", String(text !== "" && !good));
    code.textContent = before + (good ? text : field.dataset.hole) + after;
  });
}

// keepUp takes over the figures that changed, and touches nothing else: so nothing flickers.
function keepUp(section) {
  const beat = document.getElementById("beat");
  const tell = (className, words) => {
    beat.hidden = false;
    beat.className = "beat " + className;
    beat.querySelector(".text").textContent = words;
  };
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(section.dataset.live);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok && !page.querySelector(".figure")) throw new Error(answer.status);
      for (const next of page.querySelectorAll(".figure")) {
        const now = document.getElementById(next.id);
        if (!now) continue;
        if (now.className !== next.className) now.className = next.className;
        for (const part of ["b", "span"]) {
          const text = next.querySelector(part).textContent;
          if (now.querySelector(part).textContent !== text) now.querySelector(part).textContent = text;
        }
      }
      document.getElementById("away").hidden = answer.ok;
      tell("good", "live");
    } catch {
      tell("fair", "this server does not answer; the figures are old");
    }
  };
  setInterval(look, 2000);
  document.addEventListener("visibilitychange", look);
  addEventListener("online", look);
  look();
}
