-- Plays the ESP capture that was given with `-s 0:FILE` once: Pktgen port 0 is wired to gmespd's access port, port 1 to
-- its host port. Pktgen would begin it again for ever, and from then on every packet would be a replay.
--
--   PACKETS=100000 RATE=10 pktgen ... -- -P -m "1.0,2.1" -s 0:uplink.pcap -f uplink_once.lua
--
-- Prints what was sent on port 0 and what came out on port 1, and ends.

local packets = tonumber(os.getenv("PACKETS")) or 100000
local rate_percent = tonumber(os.getenv("RATE")) or 10
local silence_ms = 1000

local function received()
  return pktgen.portStats("1", "port")[1].ipackets
end

pktgen.screen("off")
pktgen.delay(1000) -- links come up
pktgen.clr()
pktgen.set("0", "rate", rate_percent)
pktgen.set("0", "count", packets)
pktgen.pcap("0", "on")
local before = received()
pktgen.start("0")
while pktgen.isSending("0")[0] == "y" do
  pktgen.delay(100)
end
local last
repeat
  last = received()
  pktgen.delay(silence_ms)
until received() == last
local sent = pktgen.portStats("0", "port")[0].opackets
io.write(string.format("sent %d ESP packets at %d %%, %d came out\n", sent, rate_percent, last - before))
pktgen.quit()
