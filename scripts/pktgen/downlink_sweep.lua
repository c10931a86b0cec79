-- Loss of clear SIP to UEs at rising rates: what Pktgen port 1 sent (to gmespd's host port) against what port 0 got back
-- (from its access port, as ESP).
--
--   SECONDS=10 RATES="1 10 50 100" pktgen ... -- -P -m "1.0,2.1" -f downlink.pkt -f downlink_sweep.lua

local seconds = tonumber(os.getenv("SECONDS")) or 10
local rates_percent = {}
for rate in (os.getenv("RATES") or "1 2 5 10 20 40 60 80 100"):gmatch("%S+") do
  rates_percent[#rates_percent + 1] = tonumber(rate)
end
local settle_ms = 1000

local function counted()
  return pktgen.portStats("1", "port")[1].opackets, pktgen.portStats("0", "port")[0].ipackets
end

pktgen.screen("off")
pktgen.delay(settle_ms)
io.write(string.format("%8s %14s %14s %10s\n", "rate", "sent/s", "received/s", "lost"))
for _, rate in ipairs(rates_percent) do
  pktgen.set("1", "rate", rate)
  local sent_before, received_before = counted()
  pktgen.start("1")
  pktgen.delay(seconds * 1000)
  pktgen.stop("1")
  pktgen.delay(settle_ms)
  local sent, received = counted()
  sent, received = sent - sent_before, received - received_before
  io.write(string.format("%6.1f %% %14.0f %14.0f %10d\n", rate, sent / seconds, received / seconds, sent - received))
end
pktgen.quit()
