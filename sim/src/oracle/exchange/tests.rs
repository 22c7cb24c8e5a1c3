//! Each rule about exchanges, told of a breach, says so; told of what the table allows, it is silent.
