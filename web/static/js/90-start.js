const map = document.getElementById("map");
if (document.getElementById("market")) new Market(map);
else if (map) singleMap(map);
offerCopies();
offerAddress();
const figures = document.getElementById("figures");
if (figures) keepUp(figures);
