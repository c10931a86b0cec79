// What the configuration means for one worker's pipeline on one port pair.
#pragma once

#include <cstdint>

#include "dataplane/config.h"
#include "dataplane/gate/rule_loader.h"
#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/pipeline.h"

namespace gmesp::dataplane {

ipsec::PipelineOptions pipeline_options(const Config& config, uint32_t worker, uint32_t workers,
                                        uint16_t access_mtu_bytes, uint16_t host_mtu_bytes);

gate::GateOptions gate_options(const Config& config, uint32_t worker);
gate::RuleSource rule_source(const Config& config);

/// The configured protected ports as a set.
ipsec::PortSet protected_ports(const Config& config);

}  // namespace gmesp::dataplane
