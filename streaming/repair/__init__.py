"""What a person does after a fix: look at dead letters, send them once more, build silver anew from bronze."""
